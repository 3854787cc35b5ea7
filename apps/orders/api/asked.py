"""What the API of orders takes: bodies and query parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from apps.candles.models import Instrument
from apps.candles.selectors import instrument_get
from apps.core.paging import PageQuerySerializer, number
from apps.core.serializers import MomentField, StrictSerializer
from apps.orders.api.fields import AmountField
from apps.orders.resolving import RESOLUTIONS
from apps.orders.states import Kind, Side, State

#: The last version that there can be.
_LAST = 2**31 - 1
_INSTRUMENT = "As `binance:BTC/USDT`."


def version(text: str) -> int:
    """A part of a cursor that is a version. Raises `ValueError`."""
    found = number(text)
    if found > _LAST:
        raise ValueError(text)
    return found


class AccountCreateSerializer(StrictSerializer):
    """The body of ``POST /accounts``."""

    name = serializers.CharField(max_length=64)
    exchange = serializers.CharField(max_length=32, help_text="As ccxt spells it: `binance`.")
    simulation = serializers.BooleanField(
        default=True, help_text="Trade on paper whatever an order asks for."
    )
    daily_limit = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=2**31 - 1,
        help_text="Orders a day (UTC); null: as many as the plan allows, which is the most.",
    )


class AccountChangeSerializer(StrictSerializer):
    """The body of ``PATCH /accounts/<id>``: what is left out stays."""

    name = serializers.CharField(max_length=64, required=False)
    simulation = serializers.BooleanField(required=False)
    enabled = serializers.BooleanField(
        required=False, help_text="Off: new orders are rejected, and none is submitted any more."
    )
    plan = serializers.CharField(max_length=32, required=False, help_text="Changed by staff only.")
    daily_limit = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)


class AccountKeysSerializer(StrictSerializer):
    """The body of ``PUT /accounts/<id>/keys``."""

    api_key = serializers.CharField(max_length=512, trim_whitespace=False)
    api_secret = serializers.CharField(max_length=512, trim_whitespace=False)


class OrderRequestSerializer(StrictSerializer):
    """The body of ``POST /orders``."""

    account = serializers.UUIDField(help_text="One of your own.")
    instrument = serializers.CharField(max_length=100, help_text=_INSTRUMENT)
    side = serializers.ChoiceField(choices=Side.choices)
    kind = serializers.ChoiceField(choices=Kind.choices, default=Kind.MARKET)
    quantity = AmountField(help_text="In units of the base currency.")
    price = AmountField(required=False, allow_null=True, help_text="The limit; for limit orders only.")
    simulation = serializers.BooleanField(default=True, help_text="Trade it on paper.")

    def validate_instrument(self, value: str) -> Instrument:
        """The instrument of that name."""
        try:
            return instrument_get(value)
        except (ValueError, Instrument.DoesNotExist):
            raise serializers.ValidationError("Is not a known instrument.") from None


class OrderResolveSerializer(StrictSerializer):
    """The body of ``POST /orders/<id>/resolve``."""

    outcome = serializers.ChoiceField(choices=[(state.value, state.label) for state in RESOLUTIONS])
    price = AmountField(
        required=False,
        allow_null=True,
        help_text="Of `filled`, where not all trades are recorded: what the rest was traded at.",
    )
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=1000)


class ListQuerySerializer(PageQuerySerializer):
    """The query parameters that lists of what accounts did have."""

    account = serializers.UUIDField(required=False)
    instrument = serializers.CharField(required=False, max_length=100, help_text=_INSTRUMENT)
    simulation = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="On paper, or for real."
    )


class AccountListQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /accounts``."""


class OrderListQuerySerializer(ListQuerySerializer):
    """The query parameters of ``GET /orders``."""

    timed = True

    state = serializers.ChoiceField(choices=State.choices, required=False)
    since = MomentField(required=False, help_text="Those that were asked for from then on.")


class TimelineQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /orders/<id>/timeline``."""

    def place(self, attrs: dict[str, Any]) -> tuple[Callable[[str], Any], ...]:
        """By the version of the order."""
        return (version,)


class FillListQuerySerializer(ListQuerySerializer):
    """The query parameters of ``GET /fills``."""

    order = serializers.UUIDField(required=False)


class PositionListQuerySerializer(ListQuerySerializer):
    """The query parameters of ``GET /positions``."""
