"""What the API of webhooks gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from apps.webhooks import examples
from apps.webhooks.codes import Layer, Outcome
from apps.webhooks.endpoints import Issued
from apps.webhooks.models import Delivery, Endpoint


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """An endpoint; of its token and secrets only how they end, and until when the ones before are valid."""

    allowed_addresses = serializers.ListField(child=serializers.CharField())
    url = serializers.SerializerMethodField()
    deliveries_url = serializers.SerializerMethodField()

    class Meta:
        model = Endpoint
        fields = [
            "id", "user", "account", "name", "enabled", "require_secret", "allowed_addresses",
            "window_seconds", "token_hint", "previous_token_until", "secret_hint", "previous_secret_until",
            "signing_hint", "previous_signing_until", "created_at", "url", "deliveries_url",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.URLField())
    def get_url(self, endpoint: Endpoint) -> str:
        return self._url("endpoint-detail", endpoint)

    @extend_schema_field(serializers.URLField())
    def get_deliveries_url(self, endpoint: Endpoint) -> str:
        return self._url("endpoint-deliveries", endpoint)

    def _url(self, name: str, endpoint: Endpoint) -> str:
        return str(reverse(name, kwargs={"endpoint_id": endpoint.pk}, request=self.context["request"]))


class IssuedSerializer(serializers.Serializer[Issued]):
    """An endpoint, and what is new of its credentials. They are shown only now; what is not new is null."""

    endpoint = EndpointSerializer()
    token = serializers.CharField(allow_null=True)
    secret = serializers.CharField(allow_null=True)
    signing_secret = serializers.CharField(allow_null=True)
    addresses = serializers.DictField(
        child=serializers.URLField(), allow_null=True, help_text="By format: where signals are sent to."
    )
    tradingview_message = serializers.CharField(
        allow_null=True, help_text="For an alert of TradingView, ready to paste."
    )

    def to_representation(self, instance: Issued) -> dict[str, Any]:
        """With the addresses and the message that follow from what is new."""
        return {
            "endpoint": EndpointSerializer(instance.endpoint, context=self.context).data,
            "token": instance.token or None,
            "secret": instance.secret or None,
            "signing_secret": instance.signing_secret or None,
            "addresses": examples.addresses(instance.token) if instance.token else None,
            "tradingview_message": examples.tradingview_message(instance.secret) if instance.secret else None,
        }


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """A delivery, and what became of it."""

    layer = serializers.ChoiceField(
        choices=Layer.choices, allow_blank=True, read_only=True, help_text="Which refused it; may be empty."
    )
    body = serializers.JSONField(
        allow_null=True, help_text="What was read of the body, without secrets; cut where it is long."
    )
    url = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields = [
            "id", "endpoint", "at", "address", "user_agent", "format", "outcome", "layer", "code", "detail",
            "status", "signal", "symbol", "simulation", "order_id", "key", "body", "body_digest", "size",
            "milliseconds", "request_id", "url",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.URLField())
    def get_url(self, delivery: Delivery) -> str:
        request = self.context["request"]
        return str(reverse("delivery-detail", kwargs={"delivery_id": delivery.pk}, request=request))


class LayerSerializer(serializers.Serializer[Any]):
    """What one layer would say."""

    layer = serializers.ChoiceField(choices=Layer.choices)
    result = serializers.ChoiceField(choices=["passed", "refused", "repeated", "not asked"])
    code = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class TrialSerializer(serializers.Serializer[Any]):
    """What would become of a delivery."""

    outcome = serializers.ChoiceField(choices=Outcome.choices)
    status = serializers.IntegerField(help_text="Of the answer.")
    decided_by = serializers.ChoiceField(choices=Layer.choices, allow_null=True)
    layers = LayerSerializer(many=True)
    signal = serializers.CharField(allow_null=True)
    symbol = serializers.CharField(allow_null=True)
    instrument = serializers.CharField(allow_null=True, help_text="Which is meant, as `binance:BTC/USDT`.")
    quantity = serializers.CharField(allow_null=True)
    price = serializers.CharField(allow_null=True)
    simulation = serializers.BooleanField(allow_null=True)
    key = serializers.CharField(allow_null=True, help_text="What makes a second one the first.")
