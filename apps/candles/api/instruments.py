"""What there are candles of, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.candles import selectors
from apps.candles.api import catalogue
from apps.candles.models import Instrument
from apps.candles.sources.base import Span
from apps.core.api import PAGES, PROBLEM
from apps.core.paging import PageQuerySerializer, followed, words
from apps.core.serializers import utc
from apps.core.views import ApiView


class InstrumentQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /instruments``."""

    query = serializers.CharField(
        required=False, help_text="Part of the symbol, the base, the quote or the exchange's name; any case."
    )
    exchange = serializers.CharField(required=False, help_text="Only those of this exchange, as `binance`.")
    kind = serializers.ChoiceField(choices=Instrument.Kind.choices, required=False)
    base = serializers.CharField(required=False, help_text="As `BTC`.")
    quote = serializers.CharField(required=False, help_text="As `USDT`.")
    active = serializers.BooleanField(required=False, help_text="Whether the exchange trades it now.")
    followed = serializers.BooleanField(
        required=False, help_text="Whether its newest minutes are kept stored."
    )
    stored = serializers.BooleanField(required=False, help_text="Whether there are candles of it.")

    def place(self, attrs: dict[str, Any]) -> tuple[Callable[[str], Any], ...]:
        """The exchange and the symbol after which to go on."""
        return (words, words)


class InstrumentSerializer(serializers.ModelSerializer[Instrument]):
    """One instrument and what is stored of it. Takes its coverage from the context ``coverage``."""

    id = serializers.CharField(source="text", help_text="As everywhere in the API: `binance:BTC/USDT`.")
    first = serializers.SerializerMethodField(help_text="Open time of the first stored minute.")
    last = serializers.SerializerMethodField(help_text="Open time of the last stored minute.")

    class Meta:
        model = Instrument
        fields = [
            "id", "exchange", "symbol", "venue_id", "base", "quote", "settle", "kind", "price_scale",
            "volume_scale", "contract_size", "listed_at", "active", "followed", "first", "last",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {
            "venue_id": {"help_text": "The exchange's own name; empty until its catalogue was read."},
            "settle": {"help_text": "What contracts are settled in; empty for spot."},
            "contract_size": {"help_text": "Units of the base in one contract; null for spot."},
            "listed_at": {"help_text": "Since when the exchange has it, where it says so."},
            "active": {"help_text": "Whether the exchange trades it now."},
            "followed": {"help_text": "Whether its newest minutes are kept stored."},
        }

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_first(self, instrument: Instrument) -> str | None:
        span = self._span(instrument)
        return utc(span.first) if span else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last(self, instrument: Instrument) -> str | None:
        span = self._span(instrument)
        return utc(span.last) if span else None

    def _span(self, instrument: Instrument) -> Span | None:
        spans: dict[int, Span] = self.context["coverage"]
        return spans.get(instrument.pk)


class InstrumentList(ApiView):
    """What there are candles of."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="instruments_list",
        summary="The instruments that fulfil all conditions",
        parameters=[InstrumentQuerySerializer],
        responses={200: InstrumentSerializer(many=True), 400: PROBLEM},
        description=(
            "The instruments that fulfil all conditions, by exchange and symbol, each with its first and last"
            " stored minute." + PAGES
        ),
    )
    def get(self, request: Request) -> Response:
        query = InstrumentQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = dict(query.validated_data)
        page = catalogue.page(after=asked.pop("after", None), limit=asked.pop("limit"), **asked)
        context = {"coverage": page.coverage}
        response = Response(InstrumentSerializer(page.instruments, many=True, context=context).data)
        last = page.instruments[-1] if page.more else None
        return followed(request, response, None if last is None else (last.exchange, last.symbol))


class InstrumentDetail(ApiView):
    """One instrument."""

    permission_classes = [AllowAny]
    takes_parameters = False

    @extend_schema(
        operation_id="instruments_retrieve",
        parameters=[
            OpenApiParameter(
                "instrument", OpenApiTypes.STR, OpenApiParameter.PATH, description="As `binance:BTC/USDT`."
            )
        ],
        responses={200: InstrumentSerializer, 404: PROBLEM},
        description="One instrument, with its first and last stored minute.",
    )
    def get(self, request: Request, instrument: str) -> Response:
        try:
            found = selectors.instrument_get(instrument)
        except (ValueError, Instrument.DoesNotExist):
            raise NotFound(f"There is no instrument {instrument}.") from None
        spans = selectors.coverage([found.pk])
        return Response(InstrumentSerializer(found, context={"coverage": spans}).data)
