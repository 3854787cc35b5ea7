from __future__ import annotations

from django.apps import AppConfig


class CandlesConfig(AppConfig):
    name = "apps.candles"
    label = "candles"
    verbose_name = "Candles"
