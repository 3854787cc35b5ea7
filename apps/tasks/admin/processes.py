"""Processes in the admin: to be looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, Tone, badge, moment, stacked
from apps.core.admin.filters import yes_or_no
from apps.tasks import selectors
from apps.tasks.models import Process

_TONES = {"running": Tone.GOOD, "ended": Tone.OVER, "vanished": Tone.BAD, "dead": Tone.BAD}


@admin.register(Process)
class ProcessAdmin(DescribedAdmin):
    """Which workers, relays and beats there are, and how they are."""

    comes = "Workers, relays and beats appear here as they start."
    list_display = (
        "name_and_kind",
        "state",
        "trouble",
        "version",
        "serves",
        "started_at_shown",
        "seen",
        "finished",
        "requests",
    )
    list_filter = (
        yes_or_no("running", "running", ended_at=None, lost_at=None, condemned=False),
        "kind",
        "version",
        "host",
    )
    sortable_by = ()
    search_fields = ("name", "host", "version")
    search_help_text = "Part of a name, of a host or of a version, or a process's id"
    ordering = ("-seen_at",)

    @admin.display(description="Process")
    def name_and_kind(self, process: Process) -> SafeString:
        """Its name, and under it what it does."""
        return stacked(process.name, process.kind)

    @admin.display(description="Condition")
    def state(self, process: Process) -> SafeString:
        """Whether it runs."""
        return badge(process.condition, _TONES[process.condition])

    @admin.display(description="Trouble")
    def trouble(self, process: Process) -> str:
        """What it says is wrong, or why it counts as dead."""
        return str(process.reason or process.facts.get("trouble") or "")

    @admin.display(description="Queues, at a time")
    def serves(self, process: Process) -> SafeString | str:
        """The logical queues that it serves, and how many runs at a time."""
        if not process.queues:
            return ""
        return stacked(", ".join(process.queues), f"{process.concurrency} at a time")

    @admin.display(description="Started (UTC)")
    def started_at_shown(self, process: Process) -> SafeString | str:
        """When."""
        return moment(process.started_at)

    @admin.display(description="Seen, ended (UTC)")
    def seen(self, process: Process) -> SafeString:
        """When last, and when it ended if it said so."""
        return stacked(moment(process.seen_at), moment(process.ended_at))

    @admin.display(description="Finished tasks")
    def finished(self, process: Process) -> str:
        """How many runs it has brought to an end."""
        return f"{int(process.counts.get('finished', 0)):,}"

    @admin.display(description="SQS requests, per task")
    def requests(self, process: Process) -> SafeString:
        """How many requests it has sent to SQS, and how many of them for each finished task."""
        finished = int(process.counts.get("finished", 0))
        per_task = f"{process.requests / finished:.2f} per task" if finished else ""
        return stacked(f"{process.requests:,}", per_task)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under what all processes together ask of SQS."""
        ratio = selectors.requests_per_task(timezone.now() - timedelta(hours=1))
        title = "Processes"
        if ratio is not None:
            title += f": {ratio:.2f} SQS requests per finished task in the last hour"
        return super().changelist_view(request, {**(extra_context or {}), "title": title})
