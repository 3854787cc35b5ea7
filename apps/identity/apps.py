from __future__ import annotations

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "apps.identity"
    label = "identity"
    verbose_name = "Identity"

    def ready(self) -> None:
        from django.core import checks

        from apps.identity import audit_actions, passwords  # noqa: F401
        from apps.identity.checks import check_settings

        checks.register(check_settings)
        passwords.connect()
