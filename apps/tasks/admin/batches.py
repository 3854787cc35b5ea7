"""Batches in the admin: to be looked at and cancelled, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import (
    Subject,
    Tone,
    answered,
    badge,
    chosen,
    list_link,
    looking,
    moment,
    stacked,
)
from apps.core.admin.filters import aged
from apps.tasks import batches
from apps.tasks.admin.shown import OfRunsAdmin, acting
from apps.tasks.batchstates import BatchState
from apps.tasks.models import Batch
from apps.tasks.wording import runs

_TONES = {BatchState.OPEN: Tone.WAIT, BatchState.INCOMPLETE: Tone.BAD, BatchState.COMPLETED: Tone.GOOD}


def _describe(page: list[Batch]) -> None:
    """Set how far each of these batches is."""
    counted = batches.batches_progress([one.pk for one in page])
    for one in page:
        vars(one)["counted"] = counted[one.pk]


@admin.register(Batch)
class BatchAdmin(OfRunsAdmin):
    """The batches with their progress."""

    comes = "Here are batches that were requested together, chords of Celery's among them."
    list_display = ("id", "description", "state_badge", "progress", "runs", "times")
    list_filter = ("state", "completes_when", aged("id", "requested in the last"))
    sortable_by = ()
    search_fields = ("description",)
    search_help_text = "A batch's id, or part of a description"
    ordering = ("-id",)
    actions = ("cancel",)
    readonly_fields = ("progress", "runs")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    @admin.display(description="State")
    def state_badge(self, batch: Batch) -> SafeString:
        """The state, with its explanation in the tooltip."""
        state = BatchState(batch.state)
        return badge(state.value, _TONES[state], state.label)

    @admin.display(description="Progress")
    def progress(self, batch: Batch) -> SafeString:
        """How many runs have ended, and how many of them without success."""
        if "counted" not in vars(batch):
            _describe([batch])
        total, done, failed = vars(batch)["counted"]
        share = format_html('<progress max="{}" value="{}"></progress>', max(total, 1), done)
        return format_html("{} of {}{} {}", done, total, f", {failed} failed" if failed else "", share)

    @admin.display(description="Runs")
    def runs(self, batch: Batch) -> SafeString:
        """Leads to the batch's runs."""
        return list_link("tasks_taskrun", "runs", batch_id=batch.pk)

    @admin.display(description="Requested, completed (UTC)")
    def times(self, batch: Batch) -> SafeString:
        """When."""
        return stacked(moment(batch.created_at), moment(batch.completed_at))

    @admin.action(description="Cancel the runs of the selected batches …", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Batch]) -> HttpResponse | None:
        """Cancel what has not ended, after a question."""
        found = chosen(queryset)
        if not answered(request):
            counted = batches.batches_progress([one.pk for one in found])
            return self.ask(
                request,
                [
                    Subject(one.pk, str(one), f"{total - done:,} of {runs(total)} not ended")
                    for one in found
                    for total, done, _ in [counted[one.pk]]
                ],
                action="cancel",
                title=f"Cancel the runs of {len(found)} batch{'' if len(found) == 1 else 'es'}",
                consequence="What waits is cancelled at once; what runs ends when it next reports progress.",
                button="Cancel them",
                grave=True,
            )
        count = sum(batches.batch_cancel(batch_id=batch.pk, actor=acting(request)) for batch in found)
        level = messages.SUCCESS if count else messages.WARNING
        self.message_user(request, f"{count} runs cancelled.", level)
        return None
