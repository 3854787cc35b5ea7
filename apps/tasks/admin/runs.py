"""Runs in the admin: to be found, looked at and operated, never edited."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core import redaction
from apps.core.admin.described import elsewhere, moment, stacked
from apps.core.redaction import redact
from apps.tasks import conf, depths, selectors, stats, wording
from apps.tasks.admin import filters
from apps.tasks.admin.chart import chart
from apps.tasks.admin.operating import OperatingAdmin
from apps.tasks.admin.shown import run_badge
from apps.tasks.models import TaskRun
from apps.tasks.states import FOUND_IN, Operation, State

_MINUTES = 60
_FAILURES = 15


@admin.register(TaskRun)
class TaskRunAdmin(OperatingAdmin):
    """The task board, one run's page, and the board of queues."""

    comes = "Every task that somebody requests is a run, from its request to its end, and for a while after."
    list_display = ("short_id", "task_on_queue", "state_badge", "attempt_by", "when", "last_error")
    list_display_links = ("short_id", "task_on_queue")
    list_filter = filters.FILTERS
    # Sorting a million rows by any column is no way to find one.
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "Id of a run, batch or first cause, a task's name, or how a unique or group key begins"
    ordering = ("-id",)

    class Media:
        css = {"all": ("tasks/admin.css",)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TaskRun], search_term: str
    ) -> tuple[QuerySet[TaskRun], bool]:
        """What all of the board's parameters select, without the columns that no line shows."""
        found = filters.selection({**request.GET.dict(), "q": search_term}).apply(queryset)
        found = found.defer("args", "kwargs", "result", "error", "meta", "backoff", "continuation")
        return (
            found.annotate(
                error_type=KeyTextTransform("type", "error"),
                error_message=KeyTextTransform("message", "error"),
            ),
            False,
        )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only the board's own parameters: what else selected runs would be unknown to operations on all."""
        return lookup in filters.PARAMETERS

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.queues_view)
        return [path("queues/", view, name="tasks_taskrun_queues"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The board, with the operations that can be done to all that it selects."""
        parameters = {name: request.GET[name] for name in filters.PARAMETERS if request.GET.get(name)}
        context = {
            **(extra_context or {}),
            "title": "Task board",
            "parameters": parameters,
            "operations": _names(list(Operation)) if self.has_operate_permission(request) else [],
        }
        return super().changelist_view(request, context)

    @admin.display(description="run")
    def short_id(self, run: TaskRun) -> SafeString:
        """The part of the id that tells runs apart."""
        return format_html('<code title="{}">…{}</code>', run.pk, str(run.pk)[-12:])

    @admin.display(description="state")
    def state_badge(self, run: TaskRun) -> SafeString:
        """The state in its colour, with the share done of a running run."""
        return format_html("{}{}", run_badge(run.state), self._under_way(run))

    def _under_way(self, run: TaskRun) -> SafeString | str:
        if run.needs_review:
            return " needs review"
        if run.state != State.RUNNING:
            return ""
        share = wording.share_done(run.progress)
        bar = "" if share is None else format_html('<progress value="{}" max="1"></progress>', f"{share:.3f}")
        return format_html("{}{}", bar, " cancelling" if run.cancel_requested else "")

    @admin.display(description="attempt, worker")
    def attempt_by(self, run: TaskRun) -> SafeString:
        """How many of how many, and who has or had the last."""
        return stacked(f"{run.attempt}/{run.max_attempts}", run.worker)

    @admin.display(description="task")
    def task_on_queue(self, run: TaskRun) -> SafeString:
        """The task, and under it the queue."""
        return stacked(run.task, run.queue)

    @admin.display(description="requested, due or ended (UTC)")
    def when(self, run: TaskRun) -> SafeString:
        """To the second; the year stands in the tooltip."""
        name, at = ("ended", run.finished_at) if run.finished_at else ("due", run.due_at)
        requested = moment(run.requested_at, f"{run.requested_at:%m-%d %H:%M:%S}")
        return stacked(requested, format_html("{} {}", name, moment(at, f"{at:%m-%d %H:%M:%S}")))

    @admin.display(description="last error")
    def last_error(self, run: TaskRun) -> str:
        """Its type and the first line of its message."""
        kind = getattr(run, "error_type", None)
        line = wording.error({"type": kind, "message": getattr(run, "error_message", "")} if kind else None)
        return redaction.text(line[:400])[:120]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One run: how it stands, what can be done, what happened, and what has to do with it."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, unquote(object_id))
        if run is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        operations = [one for one in Operation if run.state in FOUND_IN[one]]
        return TemplateResponse(
            request,
            "admin/tasks/taskrun/run.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "title": f"Run {run.pk}",
                "run": run,
                "share": wording.share_done(run.progress),
                "progress": redact(run.progress),
                "arguments": _pretty([*run.args]) if run.args else "",
                "keywords": _pretty(run.kwargs) if run.kwargs else "",
                "result": _pretty(run.result) if run.result is not None else "",
                "error": redact(run.error),
                "last_beat": selectors.last_beat(run),
                "timeline": selectors.timeline(run.pk),
                "relatives": selectors.relatives(run),
                "steps": [(step, _pretty(step.result)) for step in selectors.steps(run.pk)],
                "entries": selectors.entries(run.pk).count(),
                "continuation": _pretty(run.continuation) if run.continuation else "",
                "operations": _names(operations) if self.has_operate_permission(request) else [],
                "ended": run.finished_at is not None,
                "elsewhere": elsewhere(
                    request, stream=run.stream, correlation_id=run.meta.get("correlation_id", "")
                ),
            },
        )

    def queues_view(self, request: HttpRequest) -> HttpResponse:
        """What waits where and since when, how fast it goes, and what failed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        window = request.GET.get("window", "1h")
        figures = stats.figures(window if window in stats.WINDOWS else "1h", conf.queues())
        on_sqs, letters = depths.depths(), depths.dead_letter_depths()
        return TemplateResponse(
            request,
            "admin/tasks/taskrun/queues.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "title": "Queues",
                "figures": figures,
                "queues": [(one, on_sqs.get(one.queue), letters.get(one.queue)) for one in figures.queues],
                "windows": stats.WINDOWS,
                "chart": chart(stats.minutes(_MINUTES)),
                "failures": selectors.failures(limit=_FAILURES),
                "refresh": request.GET.get("refresh") == "on",
            },
        )


def _names(operations: list[Operation]) -> list[tuple[str, str, str]]:
    """Value, name and meaning of operations."""
    return [(one.value, *one.label.split(": ", 1)) for one in operations]  # type: ignore[misc]


def _pretty(value: Any) -> str:
    return json.dumps(redact(value), indent=2, ensure_ascii=False, default=str)
