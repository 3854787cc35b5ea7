"""What the backtest API takes: bodies and query parameters."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.backtests import conf
from apps.backtests.api.forms import Form
from apps.backtests.engine import SCHEMA
from apps.backtests.models import Backtest
from apps.backtests.selectors import ORDERINGS
from apps.candles.timeframes import TIMEFRAMES
from apps.core.paging import PageQuerySerializer, moment, words
from apps.core.serializers import MomentField, StrictSerializer
from apps.tasks.states import State

#: Points of a curve, and trades, that are answered unless told otherwise.
POINTS, TRADES = 2_000, 100
#: What of a body is about the request and not about the specification.
REQUEST = ("instrument", "instruments", "timeframe", "start", "end", "missing", "title", "labels")
_FORMAT = [(form.value, form.name) for form in Form]


def open_api(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema of the engine in the dialect of OpenAPI 3.0."""
    made = {key: value for key, value in rule.items() if key not in ("$schema", "exclusiveMinimum")}
    if isinstance(rule.get("type"), list):
        made["type"] = next(kind for kind in rule["type"] if kind != "null")
        made["nullable"] = True
    if "exclusiveMinimum" in rule:
        made |= {"minimum": rule["exclusiveMinimum"], "exclusiveMinimum": True}
    if "properties" in rule:
        made["properties"] = {name: open_api(inner) for name, inner in rule["properties"].items()}
    return made


class BacktestRequestSerializer(StrictSerializer):
    """The body of ``POST /backtests``. What each part may be is up to `services.backtest_request`.

    Beside these fields it has those of the engine's specification.
    """

    instrument = serializers.CharField(required=False, help_text="As `binance:BTC/USDT`.")
    instruments = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text=(
            "In place of `instrument`: several that share one account, all of one quote currency; up to"
            " BACKTESTS_MAX_INSTRUMENTS, which is 50 unless it was changed."
        ),
    )
    timeframe = serializers.CharField(help_text=f"One of {', '.join(TIMEFRAMES)}.")
    start = MomentField(help_text="Bars that open at this moment or later.")
    end = MomentField(
        help_text=(
            "Bars that open before this moment, which must not be in the future. Bars that have not ended"
            " and settled (CANDLES_SETTLE_SECONDS), are left out."
        )
    )
    missing = serializers.ChoiceField(
        choices=Backtest.Missing.choices,
        default=Backtest.Missing.REFUSE,
        help_text=(
            "Where minutes of the range are missing without a known cause: `refuse` (409, with the gaps),"
            " `fetch` them from the exchange first, or `ignore` them and run on what is there."
        ),
    )
    title = serializers.CharField(required=False, allow_blank=True, max_length=200)
    labels = serializers.ListField(
        child=serializers.CharField(max_length=50), required=False, max_length=20, help_text="To find it by."
    )

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        for name, rule in SCHEMA["properties"].items():
            field = serializers.JSONField(
                required=name in SCHEMA["required"], allow_null=isinstance(rule.get("type"), list)
            )
            fields[name] = extend_schema_field(open_api(rule))(field)  # type: ignore[type-var]
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of instrument and instruments."""
        if "instrument" in attrs and "instruments" in attrs:
            raise serializers.ValidationError({"instruments": "Give instrument or instruments, not both."})
        if "instrument" not in attrs and "instruments" not in attrs:
            raise serializers.ValidationError({"instrument": "This field is required."})
        return attrs

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `services.backtest_request` that the body gives."""
        given = dict(self.validated_data)
        request = {name: given.pop(name) for name in REQUEST if name in given}
        if "instrument" in request:
            request["instruments"] = [request.pop("instrument")]
        return {**request, "spec": given}


class BacktestListQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /backtests``."""

    instrument = serializers.CharField(
        required=False, help_text="Those that trade it, as `binance:BTC/USDT`."
    )
    timeframe = serializers.ChoiceField(choices=list(TIMEFRAMES), required=False)
    strategy = serializers.CharField(required=False, help_text="Its name.")
    state = serializers.ChoiceField(choices=State.choices, required=False)
    label = serializers.CharField(required=False)  # type: ignore[assignment]
    shared = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Whether there is a link to it."
    )
    created_since = MomentField(required=False)
    created_until = MomentField(required=False)
    ordering = serializers.ChoiceField(
        choices=[sign + name for name in ORDERINGS for sign in ("", "-")],
        default="-created",
        help_text="With `-`, the other way round.",
    )

    def place(self, attrs: dict[str, Any]) -> tuple[Callable[[str], Any], ...]:
        """The value of the column and the id, behind the ordering that the cursor was made for."""
        ordering: str = attrs["ordering"]

        def same(text: str) -> str:
            if text != ordering:
                raise ValueError(text)
            return text

        value = moment if ordering.lstrip("-") in ("start", "end") else words
        return (same, value, uuid.UUID)


class TradeQuerySerializer(StrictSerializer):
    """The query parameters of trades."""

    offset = serializers.IntegerField(min_value=0, max_value=2**31, default=0)
    limit = serializers.IntegerField(
        min_value=1,
        max_value=10_000,
        required=False,
        help_text=f"{TRADES} in JSON unless given; all in the other forms.",
    )
    sort = serializers.CharField(
        required=False,
        help_text="A column, as `pnl`; with `-` the highest first. Equal ones stay in the order of exits.",
    )
    format = serializers.ChoiceField(
        choices=_FORMAT, required=False, help_text="Without it, what `Accept` asks for."
    )


class CurveQuerySerializer(StrictSerializer):
    """The query parameters of an equity curve."""

    points = serializers.IntegerField(
        min_value=4,
        max_value=100_000,
        required=False,
        help_text=(
            f"The most points: of equal parts of the curve the lowest and the highest each. {POINTS} in JSON"
            " unless given; all bars in the other forms."
        ),
    )
    full = serializers.BooleanField(default=False, help_text="Every bar.")
    format = serializers.ChoiceField(
        choices=_FORMAT, required=False, help_text="Without it, what `Accept` asks for."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """All or so many."""
        if attrs["full"] and "points" in attrs:
            raise serializers.ValidationError({"points": "Give points or full, not both."})
        return attrs


class CompareQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /backtests/compare``."""

    ids = serializers.CharField(
        help_text="Two or more, with commas between; up to BACKTESTS_MAX_COMPARED, which is 10 unless set."
    )
    points = serializers.IntegerField(min_value=4, max_value=20_000, default=500)

    def validate_ids(self, value: str) -> list[uuid.UUID]:
        """Ids, each once."""
        try:
            ids = [uuid.UUID(part.strip()) for part in value.split(",")]
        except ValueError:
            raise serializers.ValidationError("Are not ids with commas between.") from None
        if len(set(ids)) < len(ids):
            raise serializers.ValidationError("Names one twice.")
        if not 2 <= len(ids) <= conf.max_compared():
            raise serializers.ValidationError(f"From 2 to {conf.max_compared()}, not {len(ids)}.")
        return ids


class StrategyCheckSerializer(StrictSerializer):
    """The body of ``POST /strategies/check``."""

    strategy = serializers.JSONField(help_text="A name, a document (an object) or a text.")
    params = serializers.DictField(required=False, help_text="Parameters to be checked with it.")
