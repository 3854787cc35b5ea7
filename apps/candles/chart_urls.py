from __future__ import annotations

from django.urls import path

from apps.candles.chart_index import chart_index
from apps.candles.charts import chart

urlpatterns = [
    path("", chart_index, name="charts"),
    path("<str:exchange>/<path:symbol>", chart, name="chart"),
]
