from __future__ import annotations

from django.urls import path

from apps.backtests.report.sweeps import views

urlpatterns = [
    path("<uuid:sweep_id>", views.report, name="sweep-report"),
    path("<uuid:sweep_id>/report.json", views.report_json, name="sweep-report-json"),
]
