"""What operators see in Django's admin of keys and logins."""

from __future__ import annotations

from apps.identity.admin import keys

__all__ = ["keys"]
