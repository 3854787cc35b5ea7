"""The filters of the task board. Each is a parameter; together they make a `RunFilter`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.tasks import selectors
from apps.tasks.admin.shown import queue_names, task_names
from apps.tasks.filters import RunFilter
from apps.tasks.models import TaskRun
from apps.tasks.states import State

_AGES = {
    "5m": ("5 minutes", timedelta(minutes=5)),
    "1h": ("hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
}
_MOST_WORKERS = 50


class BoardFilter(admin.SimpleListFilter):
    """A condition on runs. `selection` applies it, with all the others."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The values on offer, and the one that is in force if it is none of them."""
        values = self.values()
        present = self.value()
        if present and present not in dict(values):
            values.append((present, present))
        return values

    def values(self) -> list[tuple[str, str]]:
        """The values on offer."""
        return []


class StateFilter(BoardFilter):
    title = parameter_name = "state"

    def values(self) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in State]


class QueueFilter(BoardFilter):
    title = parameter_name = "queue"

    def values(self) -> list[tuple[str, str]]:
        return queue_names()


class TaskFilter(BoardFilter):
    title = parameter_name = "task"

    def values(self) -> list[tuple[str, str]]:
        return task_names()


class ErrorFilter(BoardFilter):
    title = "last error"
    parameter_name = "error_type"

    def values(self) -> list[tuple[str, str]]:
        return [(name, name) for name in selectors.error_types()]


class WorkerFilter(BoardFilter):
    title = parameter_name = "worker"

    def values(self) -> list[tuple[str, str]]:
        names = (
            TaskRun.objects.filter(state=State.RUNNING).order_by("worker").values_list("worker", flat=True)
        )
        return [(name, name) for name in names.distinct()[:_MOST_WORKERS]]


class RequestedFilter(BoardFilter):
    title = "requested in the last"
    parameter_name = "requested"

    def values(self) -> list[tuple[str, str]]:
        return [(key, name) for key, (name, _) in _AGES.items()]


class FinishedFilter(RequestedFilter):
    title = "ended in the last"
    parameter_name = "finished"


class ReviewFilter(BoardFilter):
    title = "needs review"
    parameter_name = "needs_review"

    def values(self) -> list[tuple[str, str]]:
        return [("yes", "yes: it must not be repeated unseen")]


class CauseFilter(BoardFilter):
    title = "first cause"
    parameter_name = "correlation_id"


class BatchFilter(BoardFilter):
    title = "batch"
    parameter_name = "batch_id"


FILTERS = (
    StateFilter, QueueFilter, TaskFilter, ErrorFilter, WorkerFilter, RequestedFilter, FinishedFilter,
    CauseFilter, BatchFilter, ReviewFilter,
)  # fmt: skip
PARAMETERS = (*(str(one.parameter_name) for one in FILTERS), "q")


def selection(parameters: Mapping[str, str]) -> RunFilter:
    """The filter that the board's parameters make; values that make no sense select nothing."""

    def one(name: str) -> tuple[str, ...]:
        return (parameters[name],) if parameters.get(name) else ()

    def since(name: str) -> Any:
        age = _AGES.get(parameters.get(name, ""))
        return timezone.now() - age[1] if age else None

    return RunFilter(
        states=one("state"),
        queues=one("queue"),
        tasks=one("task"),
        error_types=one("error_type"),
        workers=one("worker"),
        requested_since=since("requested"),
        finished_since=since("finished"),
        correlation_id=parameters.get("correlation_id", ""),
        batch_id=_uuid(parameters["batch_id"]) if parameters.get("batch_id") else None,
        search=parameters.get("q", ""),
        needs_review=parameters.get("needs_review") == "yes",
    )


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)
