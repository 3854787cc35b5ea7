"""How the pages of tasks show what they have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin
from apps.core.admin.filters import among
from apps.tasks import conf
from apps.tasks.models import Resolution, Statistic


def run_badge(state: str) -> SafeString | str:
    """The state of a run in its colour; empty for none."""
    return format_html('<span class="badge task-{}">{}</span>', state, state) if state else ""


def task_names() -> list[tuple[str, str]]:
    """Tasks that had runs, as choices: read off the figures, which are few, not off the runs."""
    names = Statistic.objects.filter(resolution=Resolution.TOTAL).values_list("task", flat=True)
    return [(name, name) for name in names.order_by("task").distinct()]


def queue_names() -> list[tuple[str, str]]:
    """The logical queues, as choices."""
    return [(queue, queue) for queue in conf.queues()]


QUEUE: type[admin.SimpleListFilter] = among("queue", queue_names)
TASK: type[admin.SimpleListFilter] = among("task", task_names)


class OfRunsAdmin(DescribedAdmin):
    """Rows about runs, operated by whoever may operate those."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("tasks.change_taskrun"))


def acting(request: HttpRequest) -> str:
    """Who does it, as events have it."""
    return f"user:{request.user.pk}"


def facts(value: Any) -> str:
    """Names and values of an object in one line."""
    return ", ".join(f"{name} {one}" for name, one in (value or {}).items())
