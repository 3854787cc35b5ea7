from __future__ import annotations

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from django.core import checks

        from apps.core import crypto
        from apps.core.checks import check_encryption_keys, check_proxies, check_public_url
        from apps.core.collectors import registry
        from apps.core.instruments import Own
        from apps.core.models import SEALED_COLUMN

        crypto.register(SEALED_COLUMN)
        checks.register(check_public_url)
        checks.register(check_encryption_keys)
        checks.register(check_proxies)
        registry.register(Own())
