"""What the candle API takes and gives."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.candles import conf
from apps.candles.models import Backfill, Instrument
from apps.candles.selectors import BackfillState, BackfillStatus
from apps.candles.sources.base import Span
from apps.candles.timeframes import TIMEFRAMES, to_datetime, to_ms
from apps.core.serializers import EARLIEST, MomentField, StrictSerializer


class CandleQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /candles``."""

    instrument = serializers.CharField(help_text="As `binance:BTC/USDT`.")
    timeframe = serializers.ChoiceField(
        choices=list(TIMEFRAMES),
        error_messages={"invalid_choice": f"{{input}} is not one of {', '.join(TIMEFRAMES)}."},
    )
    start = MomentField(
        required=False,
        help_text="Bars that open at this moment or later. Without it, the 500 bars before `end`.",
    )
    end = MomentField(required=False, help_text="Bars that open before this moment. Without it, now.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        frame = TIMEFRAMES[attrs["timeframe"]]
        end = attrs.setdefault("end", timezone.now())
        if "start" not in attrs:
            first = frame.ceil(to_ms(end)) - conf.default_bars() * frame.width
            attrs["start"] = max(EARLIEST, to_datetime(first))
        if attrs["start"] >= end:
            raise serializers.ValidationError({"start": "Must be before end."})
        bars = frame.count(to_ms(attrs["start"]), to_ms(end))
        if bars > conf.max_bars():
            raise serializers.ValidationError(
                {"start": f"The range spans {bars} bars of {frame.name}; {conf.max_bars()} is the limit."}
            )
        return attrs


class CandlesSerializer(serializers.Serializer[Any]):
    """Bars as columns of equal length, in order of time."""

    instrument = serializers.CharField()
    timeframe = serializers.CharField()
    start = serializers.DateTimeField(help_text="The range that was asked for, or that was filled in.")
    end = serializers.DateTimeField()
    count = serializers.IntegerField()
    ts = serializers.ListField(child=serializers.IntegerField(), help_text="Open times in milliseconds.")
    open = serializers.ListField(child=serializers.FloatField())
    high = serializers.ListField(child=serializers.FloatField())
    low = serializers.ListField(child=serializers.FloatField())
    close = serializers.ListField(child=serializers.FloatField())
    volume = serializers.ListField(child=serializers.FloatField(), help_text="In the base currency.")


class InstrumentQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /instruments``."""

    exchange = serializers.CharField(required=False, help_text="Only those of this exchange, as `binance`.")


class InstrumentSerializer(serializers.ModelSerializer[Instrument]):
    """One instrument and what is stored of it. Takes its coverage from the context ``coverage``."""

    id = serializers.CharField(source="text", help_text="As everywhere in the API: `binance:BTC/USDT`.")
    first = serializers.SerializerMethodField(help_text="Open time of the first stored minute.")
    last = serializers.SerializerMethodField(help_text="Open time of the last stored minute.")

    class Meta:
        model = Instrument
        fields = [
            "id", "exchange", "symbol", "base", "quote", "kind", "price_scale", "volume_scale", "active",
            "first", "last",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_first(self, instrument: Instrument) -> str | None:
        span = self._span(instrument)
        return span.first.isoformat() if span else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last(self, instrument: Instrument) -> str | None:
        span = self._span(instrument)
        return span.last.isoformat() if span else None

    def _span(self, instrument: Instrument) -> Span | None:
        spans: dict[int, Span] = self.context["coverage"]
        return spans.get(instrument.pk)


class InstrumentListSerializer(serializers.Serializer[Any]):
    """All instruments that match."""

    count = serializers.IntegerField()
    instruments = InstrumentSerializer(many=True)


class BackfillRequestSerializer(StrictSerializer):
    """The body of ``POST /backfills``. What may be asked for is up to `services.backfill_request`."""

    instrument = serializers.CharField(help_text="As `binance:BTC/USDT`; it need not be known here yet.")
    start = MomentField(help_text="Minutes that open at this moment or later.")
    end = MomentField(help_text="Minutes that open before this moment, which must not be in the future.")


class BackfillErrorSerializer(serializers.Serializer[Any]):
    """The last error of one of the backfill's tasks."""

    run = serializers.UUIDField(source="run_id")
    state = serializers.CharField(help_text="The task's state: `dead`, or one that will be tried again.")
    start = serializers.DateTimeField(allow_null=True)
    end = serializers.DateTimeField(allow_null=True)
    type = serializers.CharField()
    message = serializers.CharField()


class BackfillSerializer(serializers.ModelSerializer[Backfill]):
    """One backfill and how far it has come. Takes its status from the context ``status``."""

    instrument = serializers.CharField(source="text")
    state = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField(help_text="0 to 1.")
    chunks_total = serializers.SerializerMethodField(help_text="Null until the chunks are planned.")
    chunks_done = serializers.SerializerMethodField()
    rows = serializers.SerializerMethodField(help_text="Minutes stored by the chunks that are done.")
    errors = serializers.SerializerMethodField()  # type: ignore[assignment]
    url = serializers.SerializerMethodField(help_text="Ask here again to see how it goes on.")

    class Meta:
        model = Backfill
        fields = [
            "id", "instrument", "start", "end", "requested_by", "created_at", "state", "progress",
            "chunks_total", "chunks_done", "rows", "errors", "url",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def _status(self) -> BackfillStatus:
        status: BackfillStatus = self.context["status"]
        return status

    @extend_schema_field(serializers.ChoiceField(choices=BackfillState.choices))
    def get_state(self, backfill: Backfill) -> str:
        return self._status.state.value

    def get_progress(self, backfill: Backfill) -> float:
        return self._status.progress

    def get_chunks_total(self, backfill: Backfill) -> int | None:
        return self._status.chunks_total

    def get_chunks_done(self, backfill: Backfill) -> int:
        return self._status.chunks_done

    def get_rows(self, backfill: Backfill) -> int:
        return self._status.rows

    @extend_schema_field(BackfillErrorSerializer(many=True))
    def get_errors(self, backfill: Backfill) -> Any:
        return BackfillErrorSerializer(self._status.errors, many=True).data

    @extend_schema_field(serializers.URLField())
    def get_url(self, backfill: Backfill) -> str:
        url: str = self.context["url"]
        return url
