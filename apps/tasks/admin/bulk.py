"""Operations on many runs in the admin: how far they are, and what came of them."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.core.admin.described import Tone, badge, moment, run_link, stacked
from apps.core.admin.filters import aged, yes_or_no
from apps.tasks.admin.shown import OfRunsAdmin
from apps.tasks.filters import RunFilter
from apps.tasks.models import BulkOperation


@admin.register(BulkOperation)
class BulkOperationAdmin(OfRunsAdmin):
    """Who ordered what on which runs."""

    comes = "What is done to many runs at once from the task board, the API or the command line is told here."
    id_fields = ("pk", "run_id")
    list_display = ("times", "operation_name", "on", "actor", "how_far", "runs_done", "run")
    list_filter = (
        "operation",
        yes_or_no("finished", "finished", finished_at__isnull=False),
        aged("id", "ordered in the last"),
    )
    sortable_by = ()
    search_fields = ("=actor",)
    search_help_text = "The id of an operation or of the run that does it, or an actor (user:7)"
    fields = (
        "operation", "on", "run_at", "actor", "created_at", "bound", "done", "refused", "why", "more",
        "finished_at", "run",
    )  # fmt: skip

    @admin.display(description="ordered, finished (UTC)")
    def times(self, bulk: BulkOperation) -> SafeString:
        """When."""
        return stacked(moment(bulk.created_at), moment(bulk.finished_at))

    @admin.display(description="operation")
    def operation_name(self, bulk: BulkOperation) -> str:
        """Without its explanation."""
        return bulk.operation

    @admin.display(description="state")
    def how_far(self, bulk: BulkOperation) -> SafeString:
        """Whether it goes on."""
        if bulk.finished_at is None:
            return badge("goes on", Tone.WAIT)
        return badge("with refusals", Tone.LATE) if bulk.refused else badge("finished", Tone.GOOD)

    @admin.display(description="done, refused")
    def runs_done(self, bulk: BulkOperation) -> SafeString:
        """Of how many runs."""
        refused = f"{bulk.refused:,} refused" if bulk.refused else ""
        return stacked(f"{bulk.done:,} of {bulk.bound:,}", refused)

    @admin.display(description="on")
    def on(self, bulk: BulkOperation) -> str:
        """Which runs, in words."""
        return str(RunFilter.from_json(bulk.selection))

    @admin.display(description="why not")
    def why(self, bulk: BulkOperation) -> SafeString | str:
        """The reasons of the refused ones."""
        lines = ((f"{count:,}", reason) for reason, count in sorted(bulk.reasons.items()))
        return format_html_join("", "<div>{}: {}</div>", lines) or "-"

    @admin.display(description="run")
    def run(self, bulk: BulkOperation) -> SafeString | str:
        """The run that does it in the background."""
        if bulk.run_id is None:
            return "done at once"
        return run_link(bulk.run_id, f"…{str(bulk.run_id)[-12:]}")
