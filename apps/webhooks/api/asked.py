"""What the API of webhooks takes: bodies and query parameters."""

from __future__ import annotations

from rest_framework import serializers

from apps.core.paging import PageQuerySerializer
from apps.core.serializers import MomentField, StrictSerializer
from apps.webhooks.addresses import presets
from apps.webhooks.codes import Layer, Outcome
from apps.webhooks.endpoints import LONGEST_OVERLAP
from apps.webhooks.formats import FORMATS
from apps.webhooks.models import LONGEST_WINDOW, SHORTEST_WINDOW


class EndpointChangeSerializer(StrictSerializer):
    """The body of ``PATCH /webhooks/<id>``: what is left out stays."""

    name = serializers.CharField(max_length=64, required=False)
    enabled = serializers.BooleanField(required=False)
    require_secret = serializers.BooleanField(
        required=False, help_text="Off: signals on paper need no secret. Those for real always do."
    )
    allowed_addresses = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        help_text=(
            "Addresses and networks that signals are taken from, as `203.0.113.0/24`, and names:"
            f" {', '.join(f'`{name}`' for name in presets())}. Empty: from anywhere."
        ),
    )
    window_seconds = serializers.IntegerField(
        min_value=SHORTEST_WINDOW,
        max_value=LONGEST_WINDOW,
        required=False,
        help_text="How old signals may be.",
    )


class EndpointCreateSerializer(EndpointChangeSerializer):
    """The body of ``POST /webhooks``."""

    enabled = None  # type: ignore[assignment]
    account = serializers.UUIDField(help_text="One of your own.")
    name = serializers.CharField(max_length=64)
    signing = serializers.BooleanField(
        default=False, help_text="Make a signing secret, too, for senders that sign (PineForge)."
    )


class RotateSerializer(StrictSerializer):
    """The body of ``POST /webhooks/<id>/rotate``."""

    what = serializers.ChoiceField(choices=["token", "secret", "signing_secret"])
    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=int(LONGEST_OVERLAP.total_seconds()),
        default=0,
        help_text="For so long the one before is valid beside the new one.",
    )


class TrySerializer(StrictSerializer):
    """The body of ``POST /webhooks/<id>/test``."""

    format = serializers.ChoiceField(choices=list(FORMATS), default="tradingview")
    body = serializers.CharField(
        max_length=100_000, trim_whitespace=False, allow_blank=True, help_text="As the sender sends it."
    )
    simulation = serializers.CharField(max_length=16, required=False, help_text="The query parameter.")
    address = serializers.IPAddressField(
        required=False, help_text="Where it is sent from; without it, where this request comes from."
    )
    headers = serializers.DictField(
        child=serializers.CharField(max_length=512), required=False, help_text="Those that the format reads."
    )


class DeliveryQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /webhooks/<id>/deliveries``."""

    outcome = serializers.ChoiceField(choices=Outcome.choices, required=False)
    layer = serializers.ChoiceField(choices=Layer.choices, required=False)
    since = MomentField(required=False, help_text="Those that came from then on.")
