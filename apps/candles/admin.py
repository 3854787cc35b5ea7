"""Instruments and backfills in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.candles import selectors
from apps.candles.models import Backfill, Instrument


class Described(admin.ModelAdmin[Any]):
    """Rows that follow from elsewhere: neither added nor removed here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Instrument)
class InstrumentAdmin(Described):
    """Instruments come from exchanges; whether to follow one is decided here."""

    list_display = ("text", "kind", "price_scale", "volume_scale", "active")
    list_filter = ("exchange", "kind", "active")
    search_fields = ("symbol", "base")
    fields = ("text", "kind", "base", "quote", "price_scale", "volume_scale", "stored", "active")
    readonly_fields = fields[:-1]

    @admin.display(description="stored minutes")
    def stored(self, instrument: Instrument) -> str:
        """From the first to the last."""
        span = selectors.coverage([instrument.pk]).get(instrument.pk)
        return f"{span.first:%Y-%m-%d %H:%M} to {span.last:%Y-%m-%d %H:%M} UTC" if span else "none"


@admin.register(Backfill)
class BackfillAdmin(Described):
    """Backfills and how far they have come."""

    list_display = ("id", "text", "start", "end", "state", "done", "requested_by", "created_at")
    list_filter = ("exchange",)
    search_fields = ("id", "symbol", "requested_by")
    list_per_page = 50
    show_full_result_count = False
    fields = ("id", "text", "start", "end", "requested_by", "created_at", "state", "done", "errors", "runs")
    readonly_fields = fields

    def has_change_permission(self, request: HttpRequest, obj: Backfill | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backfill]:
        return super().get_queryset(request).prefetch_related("chunks")

    @admin.display(description="state")
    def state(self, backfill: Backfill) -> str:
        """Read off the runs."""
        return selectors.backfill_status(backfill).state.value

    @admin.display(description="done")
    def done(self, backfill: Backfill) -> str:
        """Share, chunks and minutes."""
        status = selectors.backfill_status(backfill)
        total = "?" if status.chunks_total is None else status.chunks_total
        return f"{status.progress:.0%}, {status.chunks_done} of {total} chunks, {status.rows} minutes"

    @admin.display(description="errors")
    def errors(self, backfill: Backfill) -> SafeString | str:
        """The last error of every task that has not succeeded."""
        errors = selectors.backfill_status(backfill).errors
        lines = ((error.state, error.type, error.message) for error in errors)
        return format_html_join("", "<div>{}: {}: {}</div>", lines) or "none"

    @admin.display(description="tasks")
    def runs(self, backfill: Backfill) -> SafeString:
        """Links to the runs, the preparation first."""
        parts = [("preparation", backfill.prepare_run)]
        parts += [(str(chunk), chunk.task_run) for chunk in backfill.chunks.all()]
        return format_html_join(
            "",
            "<div>{}</div>",
            (
                (format_html('<a href="{}">{}</a>', reverse("admin:tasks_taskrun_change", args=[run]), name),)
                for name, run in parts
                if run
            ),
        )
