"""Backfills in the admin: how far they are, and what went wrong."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.candles import conf, selectors
from apps.candles.admin.pages import CandlesAdmin
from apps.candles.models import Backfill
from apps.candles.selectors import BackfillState, BackfillStatus
from apps.candles.wording import when
from apps.core.admin.described import Tone, badge, looking, run_link, stacked
from apps.core.admin.filters import aged, among
from apps.tasks import wording

_FIELDS = (
    "id", "text", "start", "end", "requested_by", "created_at", "state", "done", "minutes", "quarantined",
    "not_served", "eta", "errors", "runs",
)  # fmt: skip

_TONES = {
    BackfillState.PREPARING: Tone.WAIT,
    BackfillState.RUNNING: Tone.WAIT,
    BackfillState.SUCCEEDED: Tone.GOOD,
    BackfillState.FAILED: Tone.BAD,
    BackfillState.CANCELLED: Tone.OVER,
}


def _describe(page: list[Backfill]) -> None:
    """Set how each of these backfills stands."""
    statuses = selectors.backfill_statuses(page)
    for one in page:
        vars(one)["status"] = statuses[one.pk]


def _status(backfill: Backfill) -> BackfillStatus:
    if "status" not in vars(backfill):
        _describe([backfill])
    status: BackfillStatus = vars(backfill)["status"]
    return status


@admin.register(Backfill)
class BackfillAdmin(CandlesAdmin):
    """Backfills and how far they have come."""

    comes = "Backfills are asked for on an instrument's list here, over the API or on the command line."
    list_display = ("text_and_who", "span", "state_and_eta", "share", "stored")
    list_filter = (
        among("exchange", lambda: [(name, name) for name in conf.exchange_urls()]),
        aged("created_at", "asked for in the last"),
    )
    sortable_by = ()
    id_fields = ("pk", "prepare_run")
    search_fields = ("symbol", "requested_by")
    search_help_text = "The id of a backfill or of its run, or part of a symbol, or of who asked"
    fields = readonly_fields = _FIELDS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backfill]:
        return super().get_queryset(request).prefetch_related("chunks")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    @admin.display(description="instrument, asked for by")
    def text_and_who(self, backfill: Backfill) -> SafeString:
        """What it fetches, and under it who asked and when."""
        return stacked(backfill.text, f"{backfill.requested_by} at {backfill.created_at:%Y-%m-%d %H:%M:%S}")

    @admin.display(description="range (UTC)")
    def span(self, backfill: Backfill) -> SafeString:
        """From when to when."""
        return format_html("{}<br>{}", when(backfill.start), when(backfill.end))

    @admin.display(description="state, done at about (UTC)")
    def state_and_eta(self, backfill: Backfill) -> SafeString:
        """The state, and under it when it will be done if it goes on as it has."""
        return stacked(self.state(backfill), self.eta(backfill))

    @admin.display(description="done")
    def share(self, backfill: Backfill) -> SafeString:
        """The share, and under it the chunks."""
        share, chunks = self.done(backfill).split(", ")
        return stacked(share, chunks)

    @admin.display(description="minutes, in quarantine")
    def stored(self, backfill: Backfill) -> SafeString:
        """What is stored, and under it what is not."""
        missed = _status(backfill).not_served
        missing = f", {missed:,} not served" if missed else ""
        return stacked(self.minutes(backfill), f"{self.quarantined(backfill)}{missing}")

    @admin.display(description="state")
    def state(self, backfill: Backfill) -> SafeString:
        """Read off the runs."""
        state = _status(backfill).state
        return badge(state.value, _TONES[state], state.label)

    @admin.display(description="done")
    def done(self, backfill: Backfill) -> str:
        """Share and chunks."""
        status = _status(backfill)
        total = "?" if status.chunks_total is None else status.chunks_total
        return f"{status.progress:.0%}, {status.chunks_done} of {total} chunks"

    @admin.display(description="minutes")
    def minutes(self, backfill: Backfill) -> str:
        """Stored by the chunks that are done."""
        return f"{_status(backfill).rows:,}"

    @admin.display(description="in quarantine")
    def quarantined(self, backfill: Backfill) -> str:
        """Rows that the exchange gave and that were not stored."""
        return wording.count(_status(backfill).quarantined)

    @admin.display(description="not served")
    def not_served(self, backfill: Backfill) -> str:
        """Minutes that had grown too old for the exchange when it was asked."""
        return wording.count(_status(backfill).not_served)

    @admin.display(description="done at about (UTC)")
    def eta(self, backfill: Backfill) -> str:
        """When it will be done if it goes on as it has."""
        eta = _status(backfill).eta
        return f"{eta:%m-%d %H:%M:%S}" if eta else ""

    @admin.display(description="errors")
    def errors(self, backfill: Backfill) -> SafeString | str:
        """The last error of every task that has not succeeded."""
        lines = ((error.state, error.type, error.message) for error in _status(backfill).errors)
        return format_html_join("", "<div>{}: {}: {}</div>", lines) or "none"

    @admin.display(description="tasks")
    def runs(self, backfill: Backfill) -> SafeString:
        """Links to the runs, the preparation first."""
        parts = [("preparation", backfill.prepare_run)]
        parts += [(str(chunk), chunk.task_run) for chunk in backfill.chunks.all()]
        return format_html_join("", "<div>{}</div>", ((run_link(run, name),) for name, run in parts if run))
