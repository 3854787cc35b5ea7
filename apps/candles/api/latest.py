"""Latest prices over HTTP."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.candles import conf
from apps.candles.api import catalogue
from apps.candles.api.query import InstrumentsField
from apps.candles.instruments import instrument_text
from apps.candles.sources.base import UnknownInstrument
from apps.candles.timeframes import MINUTE, to_ms
from apps.core.api import PROBLEM
from apps.core.resources import sql
from apps.core.serializers import StrictSerializer
from apps.core.views import ApiView


class PriceQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /candles/latest``."""

    repeatable = frozenset({"instrument"})

    instrument = InstrumentsField(
        required=False,
        help_text=(
            "As `binance:BTC/USDT`. May be given several times, up to the setting CANDLES_MAX_SERIES, which"
            " is 50 unless it was changed. Without it: all that are followed and traded."
        ),
    )


class PriceSerializer(serializers.Serializer[Any]):
    """The latest price of one instrument; nulls where nothing is stored."""

    instrument = serializers.CharField()
    ts = serializers.IntegerField(allow_null=True, help_text="Open time (ms) of the newest stored minute.")
    price = serializers.FloatField(allow_null=True, help_text="Its close.")
    change = serializers.FloatField(
        allow_null=True,
        help_text=(
            "From the close of the last minute that had opened 24 hours before it; null where there is none"
            " in the 24 hours before that."
        ),
    )
    change_percent = serializers.FloatField(allow_null=True, help_text="The same in percent of that close.")
    age = serializers.FloatField(allow_null=True, help_text="Seconds since the minute ended.")
    stale = serializers.BooleanField(
        allow_null=True, help_text="Whether the age is over 300 seconds (CANDLES_STALE_SECONDS)."
    )


class PriceListSerializer(serializers.Serializer[Any]):
    """Latest prices, in the order in which the instruments were named, else by exchange and symbol."""

    count = serializers.IntegerField()
    prices = PriceSerializer(many=True)


class LatestPrices(ApiView):
    """Latest prices of instruments."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="candles_latest",
        summary="The latest stored prices",
        parameters=[PriceQuerySerializer],
        responses={200: PriceListSerializer, 400: PROBLEM},
        description="The latest stored price of each instrument, its age, and its change over 24 hours.",
    )
    def get(self, request: Request) -> Response:
        query = PriceQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        named = query.validated_data.get("instrument")
        if named is None:
            found = catalogue.find(followed=True, active=True)
            prices = list(latest_prices(list(found.values_list("pk", flat=True))).values())
        else:
            known = catalogue.named(named)
            for text in named:
                if text not in known:
                    raise ValidationError({"instrument": [str(UnknownInstrument(text))]})
            by_name = latest_prices([instrument.pk for instrument in known.values()])
            prices = [by_name[text] for text in named]
        return Response({"count": len(prices), "prices": prices}, headers={"Cache-Control": "no-cache"})


def latest_prices(ids: list[int]) -> dict[str, dict[str, Any]]:
    """What `PriceSerializer` describes, by instrument, in one query."""
    now = to_ms(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "prices.sql"), {"ids": ids})
        rows = cursor.fetchall()
    prices = {}
    for _, exchange, symbol, scale, ts, close, previous in rows:
        entry: dict[str, Any] = dict.fromkeys(("ts", "price", "change", "change_percent", "age", "stale"))
        if ts is not None:
            opened = to_ms(ts)
            age = (now - opened - MINUTE) / 1000
            entry |= {"ts": opened, "price": close / 10.0**scale, "age": age}
            entry["stale"] = age > conf.stale().total_seconds()
        if previous is not None:
            # Of integers: the difference is exact.
            entry["change"] = (close - previous) / 10.0**scale
            # Of nothing, there is no percentage.
            if previous:
                entry["change_percent"] = round(100 * (close - previous) / previous, 4)
        text = instrument_text(exchange, symbol)
        prices[text] = {"instrument": text, **entry}
    return prices
