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

from apps.core.admin.described import DescribedAdmin, list_link, moment, row_link
from apps.core.admin.paging import KeysetChangeList
from apps.core.redaction import redact
from apps.events import projections, registry
from apps.events.models import Event

#: A type that is rare would have the whole table searched for it.
_TYPE_WINDOW = 250_000
_SUMMARY = 120


class TypeFilter(admin.SimpleListFilter):
    """One type, among the newest events."""

    title = f"type (of the newest {_TYPE_WINDOW:,})"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.name) for kind in registry.all_types()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        if not self.value():
            return queryset
        newest = Event.objects.aggregate(newest=Max("position"))["newest"] or 0
        return queryset.filter(type=self.value(), position__gt=newest - _TYPE_WINDOW)


@admin.register(Event)
class EventAdmin(DescribedAdmin):
    """All events, newest first, or those of one stream."""

    comes = "Whatever happens to runs, batches, orders, positions and workers is an event."
    list_display = ("position", "stream_link", "version", "type", "when", "actor", "summary")
    fields = (
        "position", "stream_link", "about", "version", "type", "schema_version", "when", "actor", "cause",
        "pretty_data", "pretty_meta",
    )  # fmt: skip
    readonly_fields = fields
    list_filter = (TypeFilter,)
    search_fields = ("stream",)
    search_help_text = "A stream, as task:018f…, or the part behind the colon"
    ordering = ("-position",)
    sortable_by = ()

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

    @admin.display(description="Recorded (UTC)")
    def when(self, event: Event) -> SafeString | str:
        """When."""
        return moment(event.recorded_at)

    @admin.display(description="About")
    def about(self, event: Event) -> SafeString | str:
        """The page of what it happened to."""
        prefix, _, key = event.stream.partition(":")
        for name in projections.names():
            known = projections.projection(name)
            if known.stream_prefix == f"{prefix}:":
                return row_link(known.table, key, event.stream)
        return ""

    @admin.display(description="Of the same first cause")
    def cause(self, event: Event) -> SafeString | str:
        """What the audit has of it."""
        cause = event.meta.get("correlation_id", "")
        return list_link("audit_entry", cause, correlation_id=cause) if cause else ""

    @admin.display(description="Data")
    def pretty_data(self, event: Event) -> SafeString:
        """All of it, without secrets."""
        return format_html("<pre>{}</pre>", _pretty(event.data))

    @admin.display(description="Context")
    def pretty_meta(self, event: Event) -> SafeString:
        """Who, when and because of what."""
        return format_html("<pre>{}</pre>", _pretty(event.meta))

    @admin.display(description="By")
    def actor(self, event: Event) -> str:
        """Who did it."""
        return str(event.meta.get("actor", ""))

    @admin.display(description="Data")
    def summary(self, event: Event) -> str:
        """The beginning of the data."""
        text = json.dumps(redact(event.data), ensure_ascii=False)
        return text if len(text) <= _SUMMARY else f"{text[:_SUMMARY]}…"


def _pretty(value: Any) -> str:
    return json.dumps(redact(value), indent=2, ensure_ascii=False, default=str)
