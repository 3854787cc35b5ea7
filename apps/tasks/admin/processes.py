"""Processes in the admin: to be looked at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from apps.tasks import selectors
from apps.tasks.models import Process


@admin.register(Process)
class ProcessAdmin(admin.ModelAdmin[Process]):
    """Which workers, relays and beats there are, and how they are."""

    list_display = (
        "name",
        "kind_name",
        "condition",
        "trouble",
        "version",
        "queue_names",
        "concurrency",
        "started_at",
        "seen_at",
        "finished",
        "requests",
        "per_task",
    )
    list_filter = ("kind", "version", "host")
    search_fields = ("name", "host", "version")
    ordering = ("-seen_at",)

    @admin.display(description="Kind", ordering="kind")
    def kind_name(self, process: Process) -> str:
        """The kind without its explanation."""
        return process.kind

    @admin.display(description="Condition")
    def condition(self, process: Process) -> str:
        """Whether it runs."""
        return process.condition

    @admin.display(description="Trouble")
    def trouble(self, process: Process) -> str:
        """What it says is wrong, or why it counts as dead."""
        return str(process.reason or process.facts.get("trouble") or "")

    @admin.display(description="Queues")
    def queue_names(self, process: Process) -> str:
        """The logical queues that it serves."""
        return ", ".join(process.queues)

    @admin.display(description="Finished tasks")
    def finished(self, process: Process) -> int:
        """How many runs it has brought to an end."""
        return int(process.counts.get("finished", 0))

    @admin.display(description="SQS requests")
    def requests(self, process: Process) -> int:
        """How many requests it has sent to SQS."""
        return process.requests

    @admin.display(description="Requests per task")
    def per_task(self, process: Process) -> str:
        """How many of them for each finished task."""
        finished = self.finished(process)
        return f"{process.requests / finished:.2f}" if finished else ""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under what all processes together ask of SQS."""
        ratio = selectors.requests_per_task(timezone.now() - timedelta(hours=1))
        title = "Processes"
        if ratio is not None:
            title += f": {ratio:.2f} SQS requests per finished task in the last hour"
        return super().changelist_view(request, {**(extra_context or {}), "title": title})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """Processes write their rows themselves."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        return False
