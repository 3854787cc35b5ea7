"""Rate limits in Django's admin: what is in force, who is denied, and what operators change."""

from __future__ import annotations

from apps.ratelimits.admin import addresses, policies

__all__ = ["addresses", "policies"]
