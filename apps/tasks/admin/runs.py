"""Runs in the admin: to be looked at, redriven and cancelled, never edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apps.tasks import selectors, services
from apps.tasks.models import TaskRun


@admin.register(TaskRun)
class TaskRunAdmin(admin.ModelAdmin[TaskRun]):
    """The task board and one run's timeline."""

    list_display = (
        "id",
        "task",
        "queue",
        "state_name",
        "attempt",
        "worker",
        "requested_at",
        "due_at",
        "finished_at",
    )
    list_filter = ("state", "queue", "task")
    search_fields = ("id", "task", "unique_key", "worker")
    search_help_text = "Run id, task, unique key or worker"
    ordering = ("-id",)
    actions = ("redrive", "cancel")
    change_form_template = "admin/tasks/taskrun/change_form.html"
    show_full_result_count = False

    @admin.display(description="State", ordering="state")
    def state_name(self, run: TaskRun) -> str:
        """The state without its explanation."""
        return run.state

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: TaskRun | None = None) -> bool:
        """Rows follow from events; the actions below are what may be done to them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TaskRun | None = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The run's fields, and under them its timeline."""
        context = {**(extra_context or {}), "timeline": selectors.timeline(object_id)}
        return super().change_view(request, object_id, form_url, context)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may redrive and cancel."""
        return request.user.has_perm("tasks.change_taskrun")

    @admin.action(description="Redrive the selected runs", permissions=["operate"])
    def redrive(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        self._each(request, queryset, services.redrive, "redriven")

    @admin.action(description="Cancel the selected runs", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        self._each(request, queryset, services.cancel, "cancelled")

    def _each(
        self, request: HttpRequest, queryset: QuerySet[TaskRun], service: Callable[..., Any], done: str
    ) -> None:
        count = 0
        for run in queryset:
            try:
                service(run_id=run.pk, actor=f"user:{request.user.pk}")
                count += 1
            except services.WrongState as exc:
                self.message_user(request, str(exc), messages.WARNING)
        self.message_user(request, f"{count} runs {done}.")
