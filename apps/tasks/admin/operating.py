"""Operating runs from the admin: first what it would be done to, then, if wanted, the deed."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from apps.core import context
from apps.tasks import bulk, wording
from apps.tasks.admin import filters
from apps.tasks.admin.shown import OfRunsAdmin
from apps.tasks.filters import RunFilter
from apps.tasks.models import BulkOperation, TaskRun
from apps.tasks.states import Operation

LIST = "admin:tasks_taskrun_changelist"
RUN = "admin:tasks_taskrun_change"


class OperatingAdmin(OfRunsAdmin):
    """Adds the page ``operate/``, and an action for every operation that leads to it."""

    actions = ("redrive", "retry", "cancel", "reschedule")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.operate)
        return [path("operate/", view, name="tasks_taskrun_operate"), *super().get_urls()]

    @admin.action(description="Redrive the selected runs …", permissions=["operate"])
    def redrive(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> HttpResponse:
        return self._ask_for_selected(request, Operation.REDRIVE)

    @admin.action(description="Retry the selected runs now …", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> HttpResponse:
        return self._ask_for_selected(request, Operation.RETRY)

    @admin.action(description="Cancel the selected runs …", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> HttpResponse:
        return self._ask_for_selected(request, Operation.CANCEL)

    @admin.action(description="Reschedule the selected runs …", permissions=["operate"])
    def reschedule(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> HttpResponse:
        return self._ask_for_selected(request, Operation.RESCHEDULE)

    def _ask_for_selected(self, request: HttpRequest, operation: Operation) -> HttpResponse:
        if request.POST.get("select_across") == "1":
            return self._ask(request, operation, filters.selection(request.GET))
        ids = tuple(uuid.UUID(run_id) for run_id in request.POST.getlist("_selected_action"))
        return self._ask(request, operation, RunFilter(ids=ids))

    def operate(self, request: HttpRequest) -> HttpResponse:
        """GET: what ``operation`` would be done to. POST: do it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        try:
            if request.method == "POST":
                return self._do(request)
            operation = Operation(request.GET.get("operation", ""))
            run_id = request.GET.get("run")
            if run_id:
                return self._ask(request, operation, RunFilter(ids=(uuid.UUID(run_id),)), run_id)
        except (KeyError, ValueError) as exc:
            raise SuspiciousOperation(f"not an operation on runs: {exc}") from None
        return self._ask(request, operation, filters.selection(request.GET))

    def _ask(
        self, request: HttpRequest, operation: Operation, selection: RunFilter, run_id: str = ""
    ) -> HttpResponse:
        seen = bulk.preview(operation=operation, selection=selection)
        name, what = operation.label.split(": ", 1)
        return TemplateResponse(
            request,
            "admin/tasks/taskrun/operate.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": f"{name}: {wording.runs(seen.count)}",
                "name": name,
                "what": what,
                "operation": operation,
                "preview": seen,
                "states": {state.value: count for state, count in seen.by_state.items()},
                "more": seen.count - len(seen.sample),
                "selection": json.dumps(selection.as_json()),
                "run_id": run_id,
                "needs_time": operation is Operation.RESCHEDULE,
                "in_background": seen.count > bulk.INLINE,
            },
        )

    def _do(self, request: HttpRequest) -> HttpResponse:
        operation = Operation(request.POST["operation"])
        run_at = None
        if operation is Operation.RESCHEDULE:
            run_at = datetime.fromisoformat(request.POST["run_at"]).replace(tzinfo=UTC)
        with context.bind(actor=f"user:{request.user.pk}"):
            done = bulk.submit(
                operation=operation,
                selection=RunFilter.from_json(json.loads(request.POST["selection"])),
                bound=int(request.POST["expected"]),
                run_at=run_at,
            )
        self._tell(request, done)
        run_id = request.POST.get("run")
        where = reverse(RUN, args=[uuid.UUID(run_id)]) if run_id else reverse(LIST)
        return HttpResponseRedirect(where)

    def _tell(self, request: HttpRequest, done: BulkOperation) -> None:
        name = Operation(done.operation).label.split(":", 1)[0]
        if done.finished_at is None:
            address = reverse(RUN, args=[done.run_id])
            message = format_html(
                '{}: {} are being dealt with by <a href="{}">a task</a>.',
                name,
                wording.runs(done.bound),
                address,
            )
            self.message_user(request, message)
            return
        if done.done:
            self.message_user(request, f"{name}: {wording.runs(done.done)} done.")
        for reason, count in sorted(done.reasons.items()):
            self.message_user(request, f"{name}: {count:,} refused: {reason}.", messages.WARNING)
        if done.more:
            self.message_user(request, "More runs match by now. Nothing was done to them.", messages.WARNING)
