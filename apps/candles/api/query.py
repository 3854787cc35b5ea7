"""The query parameters of ``GET /candles``."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.candles import conf
from apps.candles.api.forms import Form
from apps.candles.api.series import Question
from apps.candles.timeframes import TIMEFRAMES, to_ms
from apps.core.serializers import MomentField, StrictSerializer


@extend_schema_field({"type": "array", "items": {"type": "string"}, "minItems": 1})
class InstrumentsField(serializers.Field[tuple[str, ...], Any, Any, Any]):
    """Text forms of instruments, each once, at most as many as one request may name."""

    default_error_messages = {
        "empty": "May not be empty.",
        "twice": "{text} is named twice.",
        "many": "At most {most} may be named, and {count} are.",
    }

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        texts = tuple(data)
        if len(texts) > conf.max_series():
            self.fail("many", most=conf.max_series(), count=len(texts))
        for text in texts:
            if not text.strip():
                self.fail("empty")
            if texts.count(text) > 1:
                self.fail("twice", text=text)
        return texts

    def to_representation(self, value: Any) -> Any:
        return list(value)


class CandleQuerySerializer(StrictSerializer):
    """Which bars, and in which form. Give `Form.most` of the form in the context as ``most``."""

    repeatable = frozenset({"instrument"})

    instrument = InstrumentsField(
        help_text=(
            "As `binance:BTC/USDT`. May be given several times, for several instruments in one answer: up to"
            " the setting CANDLES_MAX_SERIES, which is 50 unless it was changed."
        )
    )
    timeframe = serializers.ChoiceField(
        choices=list(TIMEFRAMES),
        error_messages={"invalid_choice": f"{{input}} is not one of {', '.join(TIMEFRAMES)}."},
    )
    start = MomentField(
        required=False,
        help_text=(
            "Bars that open at this moment or later. Without it, the last `limit` bars before `end`, over any"
            " gap."
        ),
    )
    end = MomentField(required=False, help_text="Bars that open before this moment. Without it, now.")
    limit = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text=(
            "The most bars of each instrument: with `start` the first ones, and `next` says where to go on."
            " Without `start` it is 500 (CANDLES_DEFAULT_BARS) unless given; with `start`, all in the range."
        ),
    )
    closed = serializers.BooleanField(default=False, help_text="Leave out the bar that is still forming.")
    format = serializers.ChoiceField(
        choices=[(form.value, form.name) for form in Form],
        required=False,
        error_messages={"invalid_choice": f"{{input}} is not one of {', '.join(Form)}."},
        help_text=(
            "`json` (columns), `rows` (JSON, a list for each bar), `csv`, `arrow` (an IPC stream) or `npz`"
            " (of one instrument). Without it, what `Accept` asks for."
        ),
    )

    def question(self, form: Form) -> Question:
        """What is asked for, once it is known in which form. Raises ValidationError."""
        asked = self.validated_data
        frame, names = TIMEFRAMES[asked["timeframe"]], asked["instrument"]
        now = to_ms(timezone.now())
        start = to_ms(asked["start"]) if "start" in asked else None
        # Where none was given, the end of the bucket of now: the same for as long as the answer is.
        end = to_ms(asked["end"]) if "end" in asked else frame.floor(now) + frame.width
        if start is not None and start >= end:
            raise serializers.ValidationError({"start": "Must be before end."})
        limit = asked.get("limit")
        if start is None and limit is None:
            limit = conf.default_bars()
        if form is Form.NPZ and len(names) > 1:
            raise serializers.ValidationError({"format": "npz holds the bars of one instrument."})
        each = limit if limit is not None else frame.count(start or 0, end)
        if each * len(names) > form.most:
            raise serializers.ValidationError(_too_many(each, len(names), limit is None, form, frame.name))
        return Question(
            instruments=names,
            frame=frame,
            start=start,
            end=end,
            limit=limit,
            closed=asked["closed"],
            now=now,
        )


def _too_many(each: int, names: int, ranged: bool, form: Form, timeframe: str) -> dict[str, str]:
    """The error of an answer that would be too long."""
    bars = f"{each} bars of {timeframe}" + (f" of each of {names} instruments" if names > 1 else "")
    limit = f"{form.most} is the limit in {form.value}"
    if ranged:
        return {"start": f"The range spans {bars}; {limit}. With limit= it comes in pages."}
    return {"limit": f"{bars} are asked for; {limit}."}
