from __future__ import annotations

from django.apps import AppConfig


class CandlesConfig(AppConfig):
    name = "apps.candles"
    label = "candles"
    verbose_name = "Candles"

    def ready(self) -> None:
        from apps.candles.metrics import CandleCollector
        from apps.core.collectors import database

        database.register("candles", CandleCollector())
