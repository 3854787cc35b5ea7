from __future__ import annotations

from django.urls import include, path

from apps.backtests.report import views
from apps.backtests.report.listing import reports

urlpatterns = [
    path("", reports, name="reports"),
    path("compare", views.compare, name="backtest-compare-page"),
    path("compare.json", views.compare_json, name="backtest-compare-json"),
    path("shared/<str:token>", views.shared, name="backtest-shared"),
    path("shared/<str:token>/report.json", views.shared_json, name="backtest-shared-json"),
    path("shared/<str:token>/trades.json", views.shared_trades, name="backtest-shared-trades"),
    path("shared/<str:token>/report.html", views.shared_file, name="backtest-shared-file"),
    path("<uuid:backtest_id>", views.report, name="backtest-report"),
    path("<uuid:backtest_id>/report.json", views.report_json, name="backtest-report-json"),
    path("<uuid:backtest_id>/trades.json", views.report_trades, name="backtest-report-trades"),
    path("<uuid:backtest_id>/report.html", views.report_file, name="backtest-report-file"),
    path("sweeps/", include("apps.backtests.report.sweeps.urls")),
]
