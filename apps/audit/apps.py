from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "apps.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        from django.core import checks

        from apps.audit import adminlog, logins
        from apps.audit.checks import check_keys
        from apps.audit.metrics import AuditCollector
        from apps.core.collectors import database

        logins.connect()
        adminlog.connect()
        checks.register(check_keys)
        database.register("audit", AuditCollector())
