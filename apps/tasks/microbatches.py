"""Collecting entries into runs: the relay's part of micro-batched tasks."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

import psycopg
from celery import current_app
from django.db import connection, transaction

from apps.core import context
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.tasks.microbatched import MicroBatchedTask
from apps.tasks.models import Entry
from apps.tasks.requests import request

logger = logging.getLogger(__name__)

#: The channel on which entries are announced; the payload is the task.
CHANNEL = "tasks_entries"
#: Runs of one task that are made before others have their turn.
_RUNS = 20
#: Seconds between two looks for entries of tasks that nobody here knows.
_STRANGERS_EVERY = 60.0


def tasks() -> dict[str, MicroBatchedTask]:
    """The micro-batched tasks that are registered, by name."""
    current_app.loader.import_default_modules()
    return {
        name: task
        # Copied: another thread may be registering tasks.
        for name, task in list(current_app.tasks.items())
        if isinstance(task, MicroBatchedTask)
    }


def collect(task: MicroBatchedTask) -> int:
    """Make one run of the entries of *task* that have waited longest. Returns how many they are.

    Any number of processes may do this at the same time: each entry comes into one run.
    """
    with transaction.atomic(), context.bind(actor="relay"):
        run_id = uuid7()
        with connection.cursor() as cursor:
            cursor.execute(
                sql(__package__, "collect.sql"),
                {"task": task.name, "run_id": run_id, "limit": task.batch_size},
            )
            count = int(cursor.rowcount)
        if count:
            request(task.run_of(count, id=run_id))
    return count


def collect_all() -> int:
    """Make runs of all entries that wait, however short they have. Returns how many these are."""
    total = 0
    for task in tasks().values():
        while count := collect(task):
            total += count
    return total


class Collector:
    """Collects entries when their time has come, and knows when that is next."""

    def __init__(self) -> None:
        self._tasks: dict[str, MicroBatchedTask] | None = None
        self._due = float("inf")
        self._next_strangers = 0.0

    def collect(self) -> bool:
        """Make runs of the entries that have lingered, or fill a batch. Returns whether there may be more."""
        if self._tasks is None:
            self._tasks = tasks()
        now = time.monotonic()
        if now >= self._next_strangers:
            self._next_strangers = now + _STRANGERS_EVERY
            _warn_of_strangers(self._tasks)
        self._due = float("inf")
        more = False
        for row in self._waiting():
            more = self._collect(*row) or more
        return more

    def _waiting(self) -> Iterable[tuple[MicroBatchedTask, int, float]]:
        known = self._tasks or {}
        if not known:
            return []
        sizes = [task.batch_size for task in known.values()]
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "entries_waiting.sql"), {"tasks": list(known), "sizes": sizes})
            return [(known[name], count, age) for name, count, age in cursor.fetchall()]

    def _collect(self, task: MicroBatchedTask, count: int, age: float) -> bool:
        if count < task.batch_size and age < task.linger:
            self._look_after(task.linger - age)
            return False
        # Entries that were put meanwhile woke nobody, because others waited.
        self._look_after(task.linger)
        for _ in range(_RUNS):
            try:
                taken = collect(task)
            except (TypeError, ValueError) as exc:
                logger.error("entries of %s cannot be collected, and wait: %s", task.name, exc)
                if self._tasks is not None:
                    del self._tasks[task.name]
                return False
            if taken < task.batch_size:
                return False
        return True

    def _look_after(self, seconds: float) -> None:
        self._due = min(self._due, time.monotonic() + seconds)

    def wait(self, listener: psycopg.Connection[Any], timeout: float) -> None:
        """Wait for a run that is due, for entries that have lingered, or for *timeout* seconds.

        However many entries are announced meanwhile, the wait ends once for all of them.
        """
        deadline = time.monotonic() + timeout
        while (rest := min(deadline, self._due) - time.monotonic()) > 0:
            for notice in listener.notifies(timeout=rest, stop_after=1):
                task = (self._tasks or {}).get(notice.payload) if notice.channel == CHANNEL else None
                if task is None:
                    return
                self._look_after(task.linger)


def _warn_of_strangers(known: Iterable[str]) -> None:
    """Entries of a task that is not registered here wait for a relay of a version that knows it."""
    strangers = Entry.objects.filter(run_id=None).exclude(task__in=list(known))
    stranger = strangers.order_by().values_list("task", flat=True).first()
    if stranger is not None:
        logger.error("entries wait of task %s, which this relay cannot collect", stranger)
