from __future__ import annotations

from django.urls import path

from apps.candles.views import BackfillDetail, BackfillList, CandleList, InstrumentList

urlpatterns = [
    path("instruments", InstrumentList.as_view(), name="instrument-list"),
    path("candles", CandleList.as_view(), name="candle-list"),
    path("backfills", BackfillList.as_view(), name="backfill-list"),
    path("backfills/<uuid:backfill_id>", BackfillDetail.as_view(), name="backfill-detail"),
]
