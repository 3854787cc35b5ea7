"""For tests of code that requests runs: look at what was requested, and execute it here.

Runs are executed in the test's process and without SQS, but through the real claims, and end as they do in
a worker. All of it works in tests with real transactions, and in those of Django's TestCase or pytest's
``django_db``, whose transaction is never committed.

    def test_a_signup_is_welcomed():
        sign_up("ada@example.com")
        assert_requested(send_welcome, kwargs={"address": "ada@example.com"}, count=1)
        run_pending()
        assert len(mail.outbox) == 1

    def test_a_refused_payment_is_tried_again_after_a_day():
        charge.delay(order=7)
        run_pending()
        advance(86_400)             # or: make_due(run)
        run_pending()

    def test_the_view_does_it_all(client):
        with inline():              # each request runs as soon as its transaction has committed
            client.post("/signup", ...)

As a fixture: ``@pytest.fixture def tasks_inline(db): with inline(): yield``.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from celery import current_app
from celery.result import AsyncResult
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.db.transaction import Atomic

from apps.core.database import clock
from apps.core.resources import sql
from apps.tasks import batches, microbatches, requests
from apps.tasks.backoff import Backoff
from apps.tasks.execution import Outcome, attempt
from apps.tasks.microbatched import MicroBatchedTask
from apps.tasks.models import Entry, Step, TaskRun
from apps.tasks.run import close_side_connection, reporting_on
from apps.tasks.states import State
from apps.tasks.task import DurableTask

_WAITING = (State.SCHEDULED, State.QUEUED)

#: A run, or what was returned when it was requested, or its id.
AnyRun = TaskRun | AsyncResult[Any] | uuid.UUID | str


# Executing ----------------------------------------------------------------------------------------


def run_pending(*, limit: int = 1000) -> list[uuid.UUID]:
    """Execute every run that is due, until none is.

    Entries that wait are collected; runs that those request and what follows their ends are executed too;
    runs that their keys hold back are left. Returns the ids in the order of execution. Failures end attempts,
    as in a worker, but the wait for the next attempt is not drawn: it is the longest that may be drawn, so
    that no test depends on chance. Raises `RuntimeError` after *limit* attempts, `LookupError` for a task
    that is not registered.
    """
    return _run_all(TaskRun.objects.all(), limit)


def drain(queue: str, *, later: bool = False, limit: int = 1000) -> list[uuid.UUID]:
    """Execute every run of one queue that is due, until none is; like `run_pending` otherwise.

    With *later*, runs and attempts that wait for their time are executed too, in the order of their times.
    """
    runs = TaskRun.objects.filter(queue=queue)
    done: list[uuid.UUID] = []
    while True:
        # What becomes due after the last look at what is due was waiting, too.
        looked = datetime.fromtimestamp(clock(), UTC)
        done += _run_all(runs, limit - len(done))
        waiting = runs.filter(state__in=_WAITING, due_at__gt=looked).order_by("due_at").first()
        if not later or waiting is None:
            return done
        make_due(waiting)


def _run_all(runs: QuerySet[TaskRun], limit: int) -> list[uuid.UUID]:
    done: list[uuid.UUID] = []
    # Runs whose attempt came to nothing, because a key held them back.
    held: set[uuid.UUID] = set()
    with _side_effects_visible():
        while len(done) < limit:
            run = _next(runs.exclude(pk__in=held))
            if run is None:
                # In a test's own transaction nothing commits, and batches are completed after commits.
                if batches.complete_due() or microbatches.collect_all():
                    continue
                return done
            if _execute(run).state is None:
                held.add(run.pk)
            else:
                held.clear()
            done.append(run.pk)
    raise RuntimeError(f"runs are still due after {limit} attempts")


def _next(runs: QuerySet[TaskRun]) -> TaskRun | None:
    due = runs.filter(state__in=_WAITING, due_at__lte=Now())
    return due.order_by("-priority", "due_at", "seq").first()


def _execute(run: TaskRun) -> Outcome:
    task = current_app.tasks.get(run.task)
    if not isinstance(task, DurableTask):
        raise LookupError(f"no durable task {run.task!r} is registered")
    with patch.object(Backoff, "delay", Backoff.ceiling):
        outcome = attempt(run_id=run.pk, worker="run_pending", task=task)
    if outcome.error is not None:
        _restore_steps()
    return outcome


_steps: list[Step] = []


@contextmanager
def _side_effects_visible() -> Iterator[None]:
    """Let progress and steps reach the runs, which in a transaction no other connection sees."""
    if not connection.in_atomic_block:
        try:
            yield
        finally:
            # The test's database is dropped at its end.
            close_side_connection()
        return
    with reporting_on(connection), connection.execute_wrapper(_watch_steps):
        try:
            yield
        finally:
            _steps.clear()


def _watch_steps(execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:
    """Keep the steps that are recorded: in a worker they outlive an attempt that is rolled back."""
    result = execute(statement, params, many, context)
    if statement in (sql(__package__, "begin_step.sql"), sql(__package__, "finish_step.sql")):
        _steps.extend(Step.objects.filter(run_id=params["id"], name=params["name"]))
    return result


def _restore_steps() -> None:
    for step in _steps:
        Step.objects.update_or_create(
            run_id=step.run_id,
            name=step.name,
            defaults={
                "started_at": step.started_at,
                "finished_at": step.finished_at,
                "result": step.result,
            },
        )
    _steps.clear()


@contextmanager
def inline() -> Iterator[None]:
    """Within the block, requests run at once, in this process, and what their handlers raise surfaces.

    At once: when the transaction that requested them has committed, or where there is none, before the
    request returns. The transaction in which the block itself stands does not count, so that it works in a
    TestCase. Entries of micro-batched tasks are handled likewise. Only runs that are due are executed, and
    each makes one attempt: what its handler raised is raised here, after the failure was recorded.
    """
    executor = _Inline()
    leave, insert = Atomic.__exit__, requests._insert
    put, put_many = MicroBatchedTask.put, MicroBatchedTask.put_many

    def leaving(atomic: Any, exc_type: Any, exc: Any, trace: Any) -> None:
        leave(atomic, exc_type, exc, trace)
        if exc_type is None:
            executor.settle()

    def inserting(runs: Any) -> Any:
        inserted = insert(runs)
        executor.settle()
        return inserted

    def settling(method: Callable[..., Any]) -> Callable[..., Any]:
        def putting(*args: Any, **kwargs: Any) -> Any:
            ids = method(*args, **kwargs)
            executor.settle()
            return ids

        return putting

    with (
        patch.object(Atomic, "__exit__", leaving),
        patch.object(requests, "_insert", inserting),
        patch.object(MicroBatchedTask, "put", settling(put)),
        patch.object(MicroBatchedTask, "put_many", settling(put_many)),
    ):
        yield


class _Inline:
    """Executes what was requested since it was made, whenever no transaction is open but those of then."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._depth = _depth()
        self._known = set(TaskRun.objects.filter(state__in=_WAITING).values_list("pk", flat=True))
        self._busy = False

    def settle(self) -> None:
        if self._busy or threading.get_ident() != self._thread or _depth() > self._depth:
            return
        self._busy = True
        try:
            with _side_effects_visible():
                self._run()
        finally:
            self._busy = False

    def _run(self) -> None:
        while True:
            run = _next(TaskRun.objects.exclude(pk__in=self._known))
            if run is None:
                # In a test's own transaction nothing commits, and batches are completed after commits.
                if batches.complete_due() or microbatches.collect_all():
                    continue
                return
            # Once each: a further attempt is for the test to ask for.
            self._known.add(run.pk)
            outcome = _execute(run)
            if outcome.error is not None:
                raise outcome.error


def _depth() -> int:
    return len(connection.atomic_blocks) if connection.in_atomic_block else 0


# Looking ------------------------------------------------------------------------------------------


def requested(task: DurableTask | str | None = None, **fields: Any) -> list[TaskRun]:
    """The runs that were requested, of one task if given, in the order of their requests.

    *fields* are look-ups of Django's on `TaskRun`: ``queue="email"``, ``due_at__gt=moment``.
    """
    runs = TaskRun.objects.filter(**fields)
    return list((runs if task is None else runs.filter(task=_name(task))).order_by("seq"))


def entries(task: DurableTask | str | None = None) -> list[Entry]:
    """The entries that were put and are not written, of one micro-batched task if given, in order."""
    waiting = Entry.objects.all()
    return list(waiting if task is None else waiting.filter(task=_name(task)))


def assert_requested(
    task: DurableTask | str,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    count: int | None = None,
    **fields: Any,
) -> list[TaskRun]:
    """Assert that runs of *task* were requested, and return them: at least one, or exactly *count*.

    *args* must be equal; of *kwargs*, those that are named. *fields* are as in `requested`.
    """
    of_task = requested(task)
    candidates = requested(task, **fields) if fields else of_task
    found = [
        run
        for run in candidates
        if (args is None or run.args == list(args))
        and all(name in run.kwargs and run.kwargs[name] == value for name, value in (kwargs or {}).items())
    ]
    if len(found) == count if count is not None else found:
        return found
    conditions: dict[str, Any] = {"args": args, "kwargs": kwargs, **fields}
    wanted = ", ".join(f"{name}={value!r}" for name, value in conditions.items() if value is not None)
    expected = "at least 1 run" if count is None else "1 run" if count == 1 else f"{count} runs"
    raise AssertionError(
        f"expected {expected} of {_name(task)}{f' with {wanted}' if wanted else ''}, found {len(found)}\n"
        + _what_there_is(_name(task), of_task)
    )


def _what_there_is(name: str, runs: Sequence[TaskRun]) -> str:
    if runs:
        lines = [f"  args={run.args} kwargs={run.kwargs} queue={run.queue} state={run.state}" for run in runs]
        more = [f"  and {len(lines) - 20} more"] if len(lines) > 20 else []
        return "\n".join([f"requested of {name}:", *lines[:20], *more])
    others = Counter(TaskRun.objects.values_list("task", flat=True))
    if not others:
        return "nothing was requested"
    return f"nothing of it; requested were {', '.join(f'{count} × {task}' for task, count in others.items())}"


def _name(task: DurableTask | str) -> str:
    return task if isinstance(task, str) else str(task.name)


# Time ---------------------------------------------------------------------------------------------


def make_due(run: AnyRun) -> None:
    """Let a run that waits for its time, or for its next attempt, be due now.

    Only the row is changed: the run's history does not tell of it. Raises `AssertionError` for a run that
    does not wait.
    """
    run_id = run.pk if isinstance(run, TaskRun) else run.id if isinstance(run, AsyncResult) else run
    if not TaskRun.objects.filter(pk=run_id, state__in=_WAITING).update(due_at=Now()):
        state = TaskRun.objects.filter(pk=run_id).values_list("state", flat=True).first()
        raise AssertionError(f"run {run_id} does not wait: {f'it is {state}' if state else 'there is none'}")


def advance(seconds: float) -> None:
    """Let so much time have passed for all runs, rates and entries.

    Attempts fall due, runs expire, leases run out, unique keys of a period are free again. Nothing is
    executed. Only rows are changed: the runs' histories do not tell of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "advance.sql"), {"seconds": seconds})
