"""The admin pages of events and their followers."""

from __future__ import annotations

from apps.events.admin.cursors import CursorAdmin
from apps.events.admin.events import EventAdmin

__all__ = ["CursorAdmin", "EventAdmin"]
