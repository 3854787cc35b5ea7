"""What the API of orders gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from apps.orders.api.fields import AmountField
from apps.orders.limits import daily_limit
from apps.orders.models import Account, Fill, Order, Position
from apps.orders.selectors import TimelineEntry
from apps.orders.signals import Signal


class AccountSerializer(serializers.ModelSerializer[Account]):
    """An account; of its keys only how they end, and since when they are there."""

    daily_orders = serializers.SerializerMethodField(
        help_text="Orders that it may ask for on a day (UTC), on paper and for real each."
    )
    url = serializers.SerializerMethodField()

    class Meta:
        model = Account
        fields = [
            "id", "user", "name", "exchange", "simulation", "enabled", "plan", "daily_limit", "daily_orders",
            "key_hint", "keys_set_at", "created_at", "url",
        ]  # fmt: skip
        read_only_fields = fields

    def get_daily_orders(self, account: Account) -> int:
        return daily_limit(account)

    @extend_schema_field(serializers.URLField())
    def get_url(self, account: Account) -> str:
        request = self.context["request"]
        return str(reverse("account-detail", kwargs={"account_id": account.pk}, request=request))


class OrderSerializer(serializers.ModelSerializer[Order]):
    """An order as it stands. Amounts are decimal text."""

    instrument = serializers.CharField(source="instrument.text")
    signal = serializers.ChoiceField(
        choices=Signal.choices, allow_blank=True, read_only=True, help_text="Empty: asked for without one."
    )
    quantity = AmountField()
    price = AmountField(allow_null=True)
    filled = AmountField()
    cost = AmountField(help_text="What was traded, in the quote currency.")
    average_price = AmountField(allow_null=True)
    url = serializers.SerializerMethodField()
    timeline_url = serializers.SerializerMethodField()

    class Meta:
        model = Order
        fields = [
            "id", "account", "instrument", "state", "simulation", "side", "kind", "intent", "signal",
            "quantity", "price", "filled", "cost", "average_price", "source", "source_id", "client_order_id",
            "venue_order_id", "after", "release_before", "submissions", "looks", "cancel_requested",
            "reason_code", "reason", "asked_at", "created_at", "submitted_at", "ended_at", "verified_at",
            "url", "timeline_url",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.URLField())
    def get_url(self, order: Order) -> str:
        return self._url("order-detail", order)

    @extend_schema_field(serializers.URLField())
    def get_timeline_url(self, order: Order) -> str:
        return self._url("order-timeline", order)

    def _url(self, name: str, order: Order) -> str:
        return str(reverse(name, kwargs={"order_id": order.pk}, request=self.context["request"]))


class OrderEventSerializer(serializers.Serializer[Any]):
    """One event of an order."""

    version = serializers.IntegerField()
    type = serializers.CharField()
    meaning = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    elapsed = serializers.SerializerMethodField(help_text="Seconds since the event before.")
    data = serializers.JSONField()  # type: ignore[assignment]
    actor = serializers.CharField(help_text="Who did it: `user:<id>`, `task:<name>`; may be empty.")

    def get_elapsed(self, entry: TimelineEntry) -> float | None:
        return entry.elapsed.total_seconds() if entry.elapsed is not None else None


class FillSerializer(serializers.ModelSerializer[Fill]):
    """One trade of an order."""

    instrument = serializers.CharField(source="instrument.text")
    side = serializers.CharField(source="order.side")
    price = AmountField()
    quantity = AmountField()
    fee = AmountField(help_text="Negative is a rebate.")

    class Meta:
        model = Fill
        fields = [
            "id", "order", "account", "instrument", "simulation", "side", "trade_id", "price", "quantity",
            "fee", "fee_currency", "traded_at", "recorded_at",
        ]  # fmt: skip
        read_only_fields = fields


class PositionSerializer(serializers.ModelSerializer[Position]):
    """What an account holds of an instrument by its fills."""

    instrument = serializers.CharField(source="instrument.text")
    quantity = AmountField(help_text="In units of the base currency; negative is short.")
    cost = AmountField(help_text="What was paid for it, in the quote currency; negative was received.")
    average_price = AmountField(allow_null=True)
    realised = AmountField(help_text="Profit and loss of what was closed, in the quote currency, after fees.")

    class Meta:
        model = Position
        fields = [
            "id", "account", "instrument", "simulation", "quantity", "cost", "average_price", "realised",
            "fees", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields
