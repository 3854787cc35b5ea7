from __future__ import annotations

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "apps.webhooks"
    label = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from django.core import checks

        from apps.core.collectors import database
        from apps.webhooks import audit_actions  # noqa: F401
        from apps.webhooks.checks import check_settings
        from apps.webhooks.metrics import WebhookCollector

        checks.register(check_settings)
        database.register("webhooks", WebhookCollector())
