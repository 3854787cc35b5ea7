"""E-mails in the admin."""

from __future__ import annotations

from apps.notifications.admin import addresses, emails, preferences

__all__ = ["addresses", "emails", "preferences"]
