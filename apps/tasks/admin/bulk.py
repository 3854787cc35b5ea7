"""Operations on many runs in the admin: how far they are, and what came of them."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.tasks.filters import RunFilter
from apps.tasks.models import BulkOperation


@admin.register(BulkOperation)
class BulkOperationAdmin(admin.ModelAdmin[BulkOperation]):
    """Who ordered what on which runs."""

    list_display = ("created_at", "operation", "on", "actor", "bound", "done", "refused", "finished_at")
    list_filter = ("operation",)
    sortable_by = ()
    show_full_result_count = False
    fields = (
        "operation", "on", "run_at", "actor", "created_at", "bound", "done", "refused", "why", "more",
        "finished_at", "run",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: BulkOperation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: BulkOperation | None = None) -> bool:
        return False

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
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:tasks_taskrun_change", args=[bulk.run_id]), bulk.run_id
        )
