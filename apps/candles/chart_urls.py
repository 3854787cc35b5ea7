from __future__ import annotations

from django.urls import path

from apps.candles.charts import chart

urlpatterns = [path("<str:exchange>/<path:symbol>", chart, name="chart")]
