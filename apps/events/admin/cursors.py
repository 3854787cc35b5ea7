"""Followers in the admin: how far each has come."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from apps.events import selectors
from apps.events.models import Cursor


@admin.register(Cursor)
class CursorAdmin(admin.ModelAdmin[Cursor]):
    """The places of followers, and what lies before each of them."""

    list_display = ("follower", "xid", "position", "behind", "updated_at")
    ordering = ("follower",)
    show_full_result_count = False

    @admin.display(description="Behind")
    def behind(self, cursor: Cursor) -> str:
        """Events that it has not handled, and since when the first of them waits."""
        lag = next(iter(selectors.lags(follower=cursor.follower)), None)
        if lag is None:
            return ""
        return f"{lag.events}{'+' if lag.more else ''} events, {lag.seconds:.1f} s"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Cursor | None = None) -> bool:
        """A cursor moves with what its follower has handled."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Cursor | None = None) -> bool:
        return False
