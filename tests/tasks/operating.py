"""Runs in certain states, for tests of what operators see and do."""

from __future__ import annotations

import uuid

from apps.tasks import claims
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.workload import tasks as work


def dead(count: int = 1, **options: object) -> list[TaskRun]:
    ids = [work.refused.apply_async(**options).id for _ in range(count)]
    run_pending()
    return [TaskRun.objects.get(pk=run_id) for run_id in ids]


def succeeded(name: str = "a", **options: object) -> TaskRun:
    result = work.note.apply_async(args=[name], **options)
    run_pending()
    return TaskRun.objects.get(pk=result.id)


def waiting(count: int = 1, **options: object) -> list[TaskRun]:
    options = {"args": ["a"], "countdown": 3600, **options}
    return [TaskRun.objects.get(pk=work.note.apply_async(**options).id) for _ in range(count)]


def running(worker: str = "w1", **options: object) -> TaskRun:
    result = work.long.apply_async(kwargs={"name": "r", "steps": 9, "seconds": 0}, **options)
    assert claims.claim(run_id=uuid.UUID(result.id), worker=worker) is not None
    return TaskRun.objects.get(pk=result.id)
