from __future__ import annotations

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "apps.webhooks"
    label = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from apps.core.collectors import registry
        from apps.webhooks import audit_actions  # noqa: F401
        from apps.webhooks.metrics import WebhookCollector

        registry.register(WebhookCollector())
