"""Batches in the admin: to be looked at and cancelled, never edited."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.tasks import batches
from apps.tasks.models import Batch


@admin.register(Batch)
class BatchAdmin(admin.ModelAdmin[Batch]):
    """The batches with their progress."""

    list_display = ("id", "description", "state_name", "progress", "runs", "created_at", "completed_at")
    list_filter = ("state", "completes_when")
    search_fields = ("id", "description")
    search_help_text = "Batch id or description"
    ordering = ("-id",)
    list_per_page = 50
    actions = ("cancel",)
    show_full_result_count = False
    readonly_fields = ("progress", "runs")

    @admin.display(description="State", ordering="state")
    def state_name(self, batch: Batch) -> str:
        """The state without its explanation."""
        return batch.state

    @admin.display(description="Progress")
    def progress(self, batch: Batch) -> str:
        """How many runs have ended, and how many of them without success."""
        counted = batches.batch_progress(batch.pk)
        failed = f", {counted.failed} failed" if counted.failed else ""
        return f"{counted.done} of {counted.total}{failed}"

    @admin.display(description="Runs")
    def runs(self, batch: Batch) -> SafeString:
        """Leads to the batch's runs."""
        board = reverse("admin:tasks_taskrun_changelist")
        return format_html('<a href="{}?batch_id={}">runs</a>', board, batch.pk)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        """Rows follow from events."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Batch | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may cancel: who may cancel runs."""
        return request.user.has_perm("tasks.change_taskrun")

    @admin.action(description="Cancel the runs of the selected batches", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        actor = f"user:{request.user.pk}"
        count = sum(batches.batch_cancel(batch_id=batch.pk, actor=actor) for batch in queryset)
        self.message_user(request, f"{count} runs cancelled.")
