from __future__ import annotations

from django.urls import path

from apps.backtests.sweeps.api import SweepCancel, SweepCombinations, SweepDetail, SweepHeatmap, SweepList

_ONE = "sweeps/<uuid:sweep_id>"

urlpatterns = [
    path("sweeps", SweepList.as_view(), name="sweep-list"),
    path(_ONE, SweepDetail.as_view(), name="sweep-detail"),
    path(f"{_ONE}/cancel", SweepCancel.as_view(), name="sweep-cancel"),
    path(f"{_ONE}/combinations", SweepCombinations.as_view(), name="sweep-combinations"),
    path(f"{_ONE}/heatmap", SweepHeatmap.as_view(), name="sweep-heatmap"),
]
