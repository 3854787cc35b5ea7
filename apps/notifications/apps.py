from __future__ import annotations

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from apps.core.collectors import registry
        from apps.notifications.metrics import EmailCollector

        registry.register(EmailCollector())
