"""What the backtest API takes and gives."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.backtests.engine import METRICS, STRATEGIES
from apps.backtests.models import Backtest, BacktestResult
from apps.candles.timeframes import TIMEFRAMES
from apps.core.serializers import MomentField, StrictSerializer
from apps.tasks.models import TaskRun
from apps.tasks.states import State

#: Trades that are shown with the result; all of them are at `trades_url`.
FIRST_TRADES = 100


class BacktestRequestSerializer(StrictSerializer):
    """The body of ``POST /backtests``. What each part may be is up to `services.backtest_request`."""

    instrument = serializers.CharField(help_text="As `binance:BTC/USDT`.")
    timeframe = serializers.CharField(help_text=f"One of {', '.join(TIMEFRAMES)}.")
    start = MomentField(help_text="Bars that open at this moment or later.")
    end = MomentField(help_text="Bars that open before this moment.")
    strategy = serializers.CharField(help_text=f"One of {', '.join(STRATEGIES)}.")
    params = serializers.JSONField(required=False, help_text="The strategy's parameters, an object.")
    cash = serializers.JSONField(required=False, help_text="Money at the start; 10,000.")
    commission = serializers.JSONField(required=False, help_text="Fraction of each fill's value; 0.")
    spread = serializers.JSONField(required=False, help_text="Fraction of the price, paid at entry; 0.")
    slippage = serializers.JSONField(required=False, help_text="Fraction by which each fill is worse; 0.")
    fraction = serializers.JSONField(required=False, help_text="Share of equity per position; 1.")
    lot = serializers.JSONField(required=False, help_text="Sizes are multiples of this; 0: any size.")
    finalise = serializers.JSONField(
        required=False, help_text="last_close or last_open: where an open position is closed at the end."
    )


class BacktestListQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /backtests``."""

    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)


class TradeQuerySerializer(StrictSerializer):
    """The query parameters of ``GET /backtests/<id>/trades``."""

    offset = serializers.IntegerField(min_value=0, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=1_000, default=FIRST_TRADES)


class TradeSerializer(serializers.Serializer[Any]):
    """One closed trade; times in milliseconds."""

    side = serializers.ChoiceField(choices=["long", "short"])
    size = serializers.FloatField()
    entry_time = serializers.IntegerField()
    exit_time = serializers.IntegerField()
    entry_bar = serializers.IntegerField()
    exit_bar = serializers.IntegerField()
    entry_price = serializers.FloatField()
    exit_price = serializers.FloatField()
    commission = serializers.FloatField()
    pnl = serializers.FloatField()
    return_pct = serializers.FloatField()
    reason = serializers.ChoiceField(choices=["signal", "end", "bankruptcy"])


class TradePageSerializer(serializers.Serializer[Any]):
    """Some of a result's trades."""

    count = serializers.IntegerField(help_text="Of all trades.")
    offset = serializers.IntegerField()
    trades = TradeSerializer(many=True)


class CurveSerializer(serializers.Serializer[Any]):
    """Equity at the close of bars, fewer points than bars but with every peak and trough."""

    ts = serializers.ListField(child=serializers.IntegerField())
    value = serializers.ListField(child=serializers.FloatField())


class ResultSerializer(serializers.ModelSerializer[BacktestResult]):
    """The outcome."""

    metrics = serializers.SerializerMethodField(help_text="By name; null where undefined for this run.")
    trades = serializers.SerializerMethodField(help_text=f"The first {FIRST_TRADES}.")
    trade_count = serializers.SerializerMethodField()
    equity = CurveSerializer()

    class Meta:
        model = BacktestResult
        fields = [
            "bars", "metrics", "trade_count", "trades", "equity",
            "fingerprint", "data_fingerprint", "engine_version",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(
        {
            "type": "object",
            "properties": {
                m.name: {"type": "number", "nullable": True, "description": f"[{m.unit}] {m.definition}"}
                for m in METRICS
            },
        }
    )
    def get_metrics(self, result: BacktestResult) -> Any:
        return result.metrics

    @extend_schema_field(TradeSerializer(many=True))
    def get_trades(self, result: BacktestResult) -> Any:
        return result.trades[:FIRST_TRADES]

    def get_trade_count(self, result: BacktestResult) -> int:
        return len(result.trades)


class BacktestSummarySerializer(serializers.ModelSerializer[Backtest]):
    """One backtest without its result. Takes ``run``, ``url`` and ``trades_url`` from the context."""

    spec = serializers.JSONField(help_text="The complete specification, defaults filled in.")
    state = serializers.SerializerMethodField(help_text="The state of its run.")
    progress = serializers.SerializerMethodField(help_text="done and total bars, while it runs.")
    error = serializers.SerializerMethodField(help_text="Why the last attempt failed.")
    url = serializers.SerializerMethodField(help_text="Ask here again to see how it goes on.")
    trades_url = serializers.SerializerMethodField()

    class Meta:
        model = Backtest
        fields = [
            "id", "instrument", "timeframe", "start", "end", "spec", "spec_hash", "created_at", "task_run",
            "state", "progress", "error", "url", "trades_url",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def _run(self) -> TaskRun | None:
        run: TaskRun | None = self.context["run"]
        return run

    @extend_schema_field(serializers.ChoiceField(choices=State.choices))
    def get_state(self, backtest: Backtest) -> str | None:
        return self._run.state if self._run else None

    @extend_schema_field(serializers.JSONField(allow_null=True))
    def get_progress(self, backtest: Backtest) -> Any:
        return self._run.progress if self._run else None

    @extend_schema_field(serializers.JSONField(allow_null=True))
    def get_error(self, backtest: Backtest) -> Any:
        if self._run is None or self._run.error is None:
            return None
        return {key: self._run.error[key] for key in ("type", "message")}

    @extend_schema_field(serializers.URLField())
    def get_url(self, backtest: Backtest) -> str:
        return str(self.context["url"])

    @extend_schema_field(serializers.URLField())
    def get_trades_url(self, backtest: Backtest) -> str:
        return str(self.context["trades_url"])


class BacktestSerializer(BacktestSummarySerializer):
    """One backtest with its result."""

    result = serializers.SerializerMethodField(help_text="Null until it has succeeded.")

    class Meta(BacktestSummarySerializer.Meta):
        fields = [*BacktestSummarySerializer.Meta.fields, "result"]
        read_only_fields = fields

    @extend_schema_field(ResultSerializer(allow_null=True))
    def get_result(self, backtest: Backtest) -> Any:
        result = getattr(backtest, "result", None)
        return ResultSerializer(result).data if result is not None else None
