"""What the admin's lists of backtests and of sweeps have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.candles.wording import when
from apps.core.admin.described import OwnedAdmin, moment, stacked


class RequestedAdmin(OwnedAdmin):
    """What users request of a range of bars."""

    sortable_by = ()

    @admin.display(description="from, to (UTC)")
    def span(self, row: Any) -> SafeString:
        """The range of its bars."""
        return stacked(when(row.start), when(row.end))

    @admin.display(description="requested (UTC)")
    def created(self, row: Any) -> SafeString | str:
        """When."""
        return moment(row.created_at)
