"""Followers in the admin: how far each has come."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, Tone, badge, looking, moment, stacked
from apps.core.admin.paging import BoundedPaginator
from apps.events import selectors
from apps.events.models import Cursor

#: Seconds that a follower may be behind without being late.
_LATE = 60.0


def _describe(page: list[Cursor]) -> None:
    """Set how far each of these is behind, in one query for all."""
    lags = {lag.follower: lag for lag in selectors.lags(at_most=BoundedPaginator.bound)}
    for one in page:
        vars(one)["lag"] = lags.get(one.follower)


@admin.register(Cursor)
class CursorAdmin(DescribedAdmin):
    """The places of followers, and what lies before each of them."""

    comes = "A follower appears here once it has handled its first events."
    list_display = ("follower", "state", "behind", "place", "updated")
    sortable_by = ()
    search_fields = ("follower",)
    search_help_text = "Part of a follower's name"
    ordering = ("follower",)
    fields = readonly_fields = ("follower", "state", "behind", "place", "updated")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    @admin.display(description="State")
    def state(self, cursor: Cursor) -> SafeString | str:
        """Whether it keeps up."""
        lag = _lag(cursor)
        if lag is None:
            return ""
        if lag.seconds > _LATE:
            return badge("late", Tone.LATE, f"What it has to handle first is {lag.seconds:.0f} s old")
        return badge("keeps up", Tone.GOOD)

    @admin.display(description="Behind")
    def behind(self, cursor: Cursor) -> str:
        """Events that it has not handled, and since when the first of them waits."""
        lag = _lag(cursor)
        return "" if lag is None else f"{lag.events}{'+' if lag.more else ''} events, {lag.seconds:.1f} s"

    @admin.display(description="Position, transaction")
    def place(self, cursor: Cursor) -> SafeString:
        """The last event that it has handled, and the transaction that recorded it."""
        return stacked(f"{cursor.position:,}", cursor.xid)

    @admin.display(description="Handled last (UTC)")
    def updated(self, cursor: Cursor) -> SafeString | str:
        """When."""
        return moment(cursor.updated_at)


def _lag(cursor: Cursor) -> selectors.Lag | None:
    if "lag" not in vars(cursor):
        _describe([cursor])
    lag: selectors.Lag | None = vars(cursor)["lag"]
    return lag
