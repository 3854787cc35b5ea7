from __future__ import annotations

from django.urls import include, path

from apps.backtests.views import BacktestDetail, BacktestList, BacktestTrades

urlpatterns = [
    path("", include("apps.backtests.sweeps.urls")),
    path("backtests", BacktestList.as_view(), name="backtest-list"),
    path("backtests/<uuid:backtest_id>", BacktestDetail.as_view(), name="backtest-detail"),
    path("backtests/<uuid:backtest_id>/trades", BacktestTrades.as_view(), name="backtest-trades"),
]
