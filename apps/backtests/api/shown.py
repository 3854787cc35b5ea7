"""What the backtest API gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.backtests.engine import METRICS
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.selectors import Status, made_by_owner
from apps.tasks.states import State

_METRICS = {
    "type": "object",
    "properties": {
        metric.name: {
            "type": "number",
            "nullable": True,
            "description": f"[{metric.unit}] {metric.definition}",
        }
        for metric in METRICS
    },
}


class TradeSerializer(serializers.Serializer[Any]):
    """One closed trade; times in milliseconds."""

    instrument = serializers.CharField()
    side = serializers.ChoiceField(choices=["long", "short"])
    size = serializers.FloatField()
    entry_time = serializers.IntegerField()
    exit_time = serializers.IntegerField()
    entry_bar = serializers.IntegerField()
    exit_bar = serializers.IntegerField()
    entry_price = serializers.FloatField()
    exit_price = serializers.FloatField()
    commission = serializers.FloatField()
    funding = serializers.FloatField(required=False)
    pnl = serializers.FloatField()
    return_pct = serializers.FloatField()
    reason = serializers.CharField(help_text="Why it ended: as signal, stop_loss, end.")


class TradePageSerializer(serializers.Serializer[Any]):
    """Some of a result's trades."""

    count = serializers.IntegerField(help_text="Of all trades.")
    offset = serializers.IntegerField()
    next = serializers.IntegerField(allow_null=True, help_text="The `offset` of the next page; null: none.")
    trades = TradeSerializer(many=True)


class CurveSerializer(serializers.Serializer[Any]):
    """Equity at the close of bars."""

    ts = serializers.ListField(child=serializers.IntegerField())
    value = serializers.ListField(child=serializers.FloatField())


class CurveAnswerSerializer(CurveSerializer):
    """Some or all points of an equity curve."""

    count = serializers.IntegerField(help_text="Points in this answer.")
    bars = serializers.IntegerField(help_text="Of the whole curve.")


class ResultSerializer(serializers.ModelSerializer[BacktestResult]):
    """The outcome. Trades are at `trades_url`, the whole curve at `equity_url`."""

    metrics = serializers.SerializerMethodField(help_text="By name; null where undefined for this run.")
    equity = CurveSerializer(help_text="Up to 2,000 points that keep every peak and trough.")
    bounds = serializers.JSONField(
        allow_null=True,
        help_text="Figures of the pessimistic and the optimistic reading of ambiguous bars.",
    )
    certificate = serializers.JSONField(
        allow_null=True, help_text="How it was tested that no signal looks ahead."
    )
    timings = serializers.JSONField(
        allow_null=True,
        help_text=(
            "Milliseconds of the run that made it, by part; null where no backtest of the owner that is still"
            " there made it."
        ),
    )
    created_at = serializers.DateTimeField(allow_null=True, help_text="When it was made; null likewise.")

    class Meta:
        model = BacktestResult
        fields = [
            "bars", "metrics", "trade_count", "equity", "ambiguous", "bounds", "certificate", "timings",
            "spec_hash", "fingerprint", "data_fingerprint", "engine_version", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(_METRICS)
    def get_metrics(self, result: BacktestResult) -> Any:
        return result.metrics

    @classmethod
    def of(cls, backtest: Backtest) -> Any:
        """The result of *backtest* for its owner, or None. It tells nothing of the runs of others."""
        if backtest.result is None:
            return None
        data = dict(cls(backtest.result).data)
        return data if made_by_owner(backtest) else {**data, "timings": None, "created_at": None}


class ProgressSerializer(serializers.Serializer[Any]):
    """How far it is."""

    phase = serializers.CharField(
        help_text="fetching (minutes), loading, signals, simulating (bars), certificate or storing."
    )
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class ErrorSerializer(serializers.Serializer[Any]):
    """Why the last attempt failed."""

    type = serializers.CharField()
    message = serializers.CharField()


class SettingsSerializer(serializers.ModelSerializer[Backtest]):
    """What was asked for."""

    instrument = serializers.SerializerMethodField(help_text="Where it is one; else null.")
    instruments = serializers.ListField(child=serializers.CharField())
    spec = serializers.JSONField(help_text="The complete specification, defaults filled in.")

    class Meta:
        model = Backtest
        fields = ["instrument", "instruments", "timeframe", "start", "end", "strategy", "spec", "spec_hash"]
        read_only_fields = fields

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_instrument(self, backtest: Backtest) -> str | None:
        return backtest.instruments[0] if len(backtest.instruments) == 1 else None


class StandingSerializer(serializers.Serializer[Any]):
    """How something stands that runs in the background. Takes ``status`` and ``urls`` from the context."""

    state = serializers.SerializerMethodField(help_text="The state of its run.")
    error = serializers.SerializerMethodField(help_text="Why the last attempt failed.")
    url = serializers.SerializerMethodField(help_text="Ask here again to see how it goes on.")
    report_url = serializers.SerializerMethodField(help_text="The page that shows it, for a browser.")

    @extend_schema_field(serializers.ChoiceField(choices=State.choices))
    def get_state(self, _: Any) -> str:
        return str(self.context["status"].state)

    @extend_schema_field(ErrorSerializer(allow_null=True))
    def get_error(self, _: Any) -> Any:
        return self.context["status"].error

    @extend_schema_field(serializers.URLField())
    def get_url(self, _: Any) -> str:
        return str(self.context["urls"]["detail"])

    @extend_schema_field(serializers.URLField())
    def get_report_url(self, _: Any) -> str:
        return str(self.context["urls"]["report"])


class BacktestSummarySerializer(StandingSerializer, SettingsSerializer):
    """One backtest without its result. Takes ``status`` and ``urls`` from the context."""

    labels = serializers.ListField(child=serializers.CharField())
    reused = serializers.BooleanField(help_text="Whether its result was there before.")
    shared = serializers.SerializerMethodField(help_text="Whether there is a link to it.")
    progress = serializers.SerializerMethodField(help_text="Null where nothing is under way.")
    task_run = serializers.UUIDField(allow_null=True, help_text="Its run; null: none was needed.")
    trades_url = serializers.SerializerMethodField()
    equity_url = serializers.SerializerMethodField()

    class Meta:
        model = Backtest
        fields = [
            "id", "owner", "title", "labels", *SettingsSerializer.Meta.fields, "missing", "reused", "shared",
            "shared_at", "created_at", "task_run", "state", "progress", "error", "url", "trades_url",
            "equity_url", "report_url",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def _status(self) -> Status:
        status: Status = self.context["status"]
        return status

    def get_shared(self, backtest: Backtest) -> bool:
        return backtest.share_hash is not None

    @extend_schema_field(ProgressSerializer(allow_null=True))
    def get_progress(self, backtest: Backtest) -> Any:
        status = self._status
        if not status.phase:
            return None
        return {"phase": status.phase, "done": status.done, "total": status.total}

    @extend_schema_field(serializers.URLField())
    def get_trades_url(self, backtest: Backtest) -> str:
        return str(self.context["urls"]["trades"])

    @extend_schema_field(serializers.URLField())
    def get_equity_url(self, backtest: Backtest) -> str:
        return str(self.context["urls"]["equity"])


class BacktestSerializer(BacktestSummarySerializer):
    """One backtest with its result."""

    result = serializers.SerializerMethodField(help_text="Null until it has succeeded.")

    class Meta(BacktestSummarySerializer.Meta):
        fields = [*BacktestSummarySerializer.Meta.fields, "result"]
        read_only_fields = fields

    @extend_schema_field(ResultSerializer(allow_null=True))
    def get_result(self, backtest: Backtest) -> Any:
        return ResultSerializer.of(backtest)


class SharedBacktestSerializer(SettingsSerializer):
    """What whoever has the link sees. Takes ``urls`` from the context."""

    trades_url = serializers.SerializerMethodField()
    equity_url = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField(help_text="Null until it has succeeded.")

    class Meta:
        model = Backtest
        fields = [*SettingsSerializer.Meta.fields, "trades_url", "equity_url", "result"]
        read_only_fields = fields

    @extend_schema_field(ResultSerializer(allow_null=True))
    def get_result(self, backtest: Backtest) -> Any:
        return ResultSerializer.of(backtest)

    @extend_schema_field(serializers.URLField())
    def get_trades_url(self, backtest: Backtest) -> str:
        return str(self.context["urls"]["trades"])

    @extend_schema_field(serializers.URLField())
    def get_equity_url(self, backtest: Backtest) -> str:
        return str(self.context["urls"]["equity"])


class ShareSerializer(serializers.Serializer[Any]):
    """A link, which is shown this once."""

    token = serializers.CharField()
    url = serializers.URLField(help_text="For programs.")
    report_url = serializers.URLField(help_text="The page, for a browser.")


class GrowthSerializer(serializers.Serializer[Any]):
    """Curves on one axis of time."""

    ts = serializers.ListField(
        child=serializers.IntegerField(), help_text="When bars close, in milliseconds."
    )
    growth = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), help_text="Of each backtest, of 1."
    )


class ComparisonSerializer(serializers.Serializer[Any]):
    """Backtests side by side; every list is in the order of `backtests`."""

    backtests = BacktestSummarySerializer(many=True)
    metrics = serializers.DictField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True))
    )
    differences = serializers.DictField(
        child=serializers.ListField(child=serializers.JSONField(allow_null=True)),
        help_text="Settings in which they differ, by path, as `params.fast`.",
    )
    equity = GrowthSerializer()
    correlation = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="Of the changes from close to close of the widest bars.",
    )


class StrategySerializer(serializers.Serializer[Any]):
    """A strategy."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    parameters = serializers.JSONField(help_text="JSON Schema of its parameters.")
    document = serializers.JSONField(allow_null=True, help_text="The strategy as data.")
    text = serializers.CharField(allow_null=True, help_text="The same for people.")


class StrategyCheckedSerializer(StrategySerializer):
    """What a strategy comes to."""

    params = serializers.JSONField(allow_null=True, help_text="Complete, where they can be.")
    cost = serializers.FloatField(
        allow_null=True, help_text="Work for each bar, in units of one simple pass over a column."
    )


class GapSerializer(serializers.Serializer[Any]):
    """Minutes that are missing."""

    instrument = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    minutes = serializers.IntegerField()


class MissingCandlesSerializer(serializers.Serializer[Any]):
    """The problem `missing-candles`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    gap_count = serializers.IntegerField(help_text="Of all gaps.")
    missing_minutes = serializers.IntegerField(help_text="In all gaps.")
    gaps = GapSerializer(many=True, help_text="The first 100 of them (BACKTESTS_MAX_GAPS_LISTED).")
