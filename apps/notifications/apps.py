from __future__ import annotations

from typing import Any

from django.apps import AppConfig


def _end_connection(**_: Any) -> None:
    """A worker's process ends: so does its connection to the mail server."""
    from apps.notifications import connections

    connections.forget()


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from celery import signals
        from django.core import checks

        from apps.core.collectors import database
        from apps.notifications.checks import check_operators, check_sender
        from apps.notifications.metrics import EmailCollector

        checks.register(check_operators)
        checks.register(check_sender)
        database.register("emails", EmailCollector())
        signals.worker_process_shutdown.connect(_end_connection)
