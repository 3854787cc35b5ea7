"""What pages of several apps in the admin have in common, and those of users and groups."""

from __future__ import annotations

from apps.core.admin import people

__all__ = ["people"]
