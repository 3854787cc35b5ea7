from __future__ import annotations

from django.apps import AppConfig


class BacktestsConfig(AppConfig):
    name = "apps.backtests"
    label = "backtests"
    verbose_name = "Backtests"

    def ready(self) -> None:
        """Make known what Celery does not look for by itself."""
        from apps.backtests.sweeps import tasks  # noqa: F401
