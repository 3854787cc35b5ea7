from __future__ import annotations

from django.urls import include, path

from apps.backtests.api.compare import BacktestCompare
from apps.backtests.api.results import BacktestEquity, BacktestTrades
from apps.backtests.api.shared import SharedBacktest, SharedEquity, SharedTrades
from apps.backtests.api.strategies import StrategyCheck, StrategyDocumentSchema, StrategyList
from apps.backtests.api.views import BacktestCancel, BacktestDetail, BacktestList, BacktestShare

_ONE = "backtests/<uuid:backtest_id>"
_SHARED = "shared/backtests/<str:token>"

urlpatterns = [
    path("", include("apps.backtests.sweeps.urls")),
    path("backtests", BacktestList.as_view(), name="backtest-list"),
    path("backtests/compare", BacktestCompare.as_view(), name="backtest-compare"),
    path(_ONE, BacktestDetail.as_view(), name="backtest-detail"),
    path(f"{_ONE}/cancel", BacktestCancel.as_view(), name="backtest-cancel"),
    path(f"{_ONE}/trades", BacktestTrades.as_view(), name="backtest-trades"),
    path(f"{_ONE}/equity", BacktestEquity.as_view(), name="backtest-equity"),
    path(f"{_ONE}/share", BacktestShare.as_view(), name="backtest-share"),
    path(_SHARED, SharedBacktest.as_view(), name="shared-backtest"),
    path(f"{_SHARED}/trades", SharedTrades.as_view(), name="shared-backtest-trades"),
    path(f"{_SHARED}/equity", SharedEquity.as_view(), name="shared-backtest-equity"),
    path("strategies", StrategyList.as_view(), name="strategy-list"),
    path("strategies/schema", StrategyDocumentSchema.as_view(), name="strategy-schema"),
    path("strategies/check", StrategyCheck.as_view(), name="strategy-check"),
]
