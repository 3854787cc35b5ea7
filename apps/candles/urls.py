from __future__ import annotations

from django.urls import path

from apps.candles.api.candles import CandleList
from apps.candles.api.instruments import InstrumentDetail, InstrumentList
from apps.candles.api.latest import LatestPrices
from apps.candles.views import BackfillDetail, BackfillList

urlpatterns = [
    path("instruments", InstrumentList.as_view(), name="instrument-list"),
    path("instruments/<path:instrument>", InstrumentDetail.as_view(), name="instrument-detail"),
    path("candles/latest", LatestPrices.as_view(), name="candle-latest"),
    path("candles", CandleList.as_view(), name="candle-list"),
    path("backfills", BackfillList.as_view(), name="backfill-list"),
    path("backfills/<uuid:backfill_id>", BackfillDetail.as_view(), name="backfill-detail"),
]
