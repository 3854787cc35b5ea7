from __future__ import annotations

from django.apps import AppConfig


class BacktestsConfig(AppConfig):
    name = "apps.backtests"
    label = "backtests"
    verbose_name = "Backtests"

    def ready(self) -> None:
        """Make known what neither Celery nor the admin looks for by itself."""
        from apps.backtests.sweeps import admin, tasks  # noqa: F401
