from __future__ import annotations

from django.apps import AppConfig


class RatelimitsConfig(AppConfig):
    name = "apps.ratelimits"
    label = "ratelimits"
    verbose_name = "Rate limits"

    def ready(self) -> None:
        from django.core import checks

        from apps.core.collectors import registry
        from apps.ratelimits import audit_actions  # noqa: F401
        from apps.ratelimits.checks import check_rules
        from apps.ratelimits.metrics import RateLimitCollector

        checks.register(check_rules)
        registry.register(RateLimitCollector())
