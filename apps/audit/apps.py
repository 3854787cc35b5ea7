from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "apps.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        from apps.audit import adminlog, logins
        from apps.audit.metrics import AuditCollector
        from apps.core.collectors import registry

        logins.connect()
        adminlog.connect()
        registry.register(AuditCollector())
