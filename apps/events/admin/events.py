"""Events in the admin: to be looked at."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.events import projections, registry
from apps.core.admin.paging import BoundedPaginator, KeysetChangeList
from apps.events.models import Event

#: A type that is rare would have the whole table searched for it.
_TYPE_WINDOW = 1_000_000
_SUMMARY = 120


class TypeFilter(admin.SimpleListFilter):
    """One type, among the newest million of events."""

    title = "type (of the newest million)"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.name) for kind in registry.all_types()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        if not self.value():
            return queryset
        newest = Event.objects.aggregate(newest=Max("position"))["newest"] or 0
        return queryset.filter(type=self.value(), position__gt=newest - _TYPE_WINDOW)


@admin.register(Event)
class EventAdmin(admin.ModelAdmin[Event]):
    """All events, newest first, or those of one stream."""

    list_display = ("position", "stream_link", "version", "type", "recorded_at", "actor", "summary")
    list_filter = (TypeFilter,)
    list_per_page = 50
    search_fields = ("stream",)
    search_help_text = "A stream, as task:018f…, or the part behind the colon"
    ordering = ("-position",)
    sortable_by = ()
    paginator = BoundedPaginator
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Whole names only, which the index of streams answers."""
        term = search_term.strip()
        if not term:
            return queryset, False
        prefixes = [projections.projection(name).stream_prefix for name in projections.names()]
        return queryset.filter(stream__in=[term, *(prefix + term for prefix in prefixes)]), False

    @admin.display(description="Stream")
    def stream_link(self, event: Event) -> SafeString:
        """Leads to the whole stream."""
        return format_html('<a href="?{}">{}</a>', urlencode({"q": event.stream}), event.stream)

    @admin.display(description="By")
    def actor(self, event: Event) -> str:
        """Who did it."""
        return str(event.meta.get("actor", ""))

    @admin.display(description="Data")
    def summary(self, event: Event) -> str:
        """The beginning of the data."""
        text = json.dumps(event.data, ensure_ascii=False)
        return text if len(text) <= _SUMMARY else f"{text[:_SUMMARY]}…"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        """What has happened does not change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False
