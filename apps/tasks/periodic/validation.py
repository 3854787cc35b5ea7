"""Whether an entry can do what it says: checked before it is kept, since beat has nobody to tell."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.db import DataError, IntegrityError, transaction
from django.utils.module_loading import autodiscover_modules

from apps.tasks import conf
from apps.tasks.models import PeriodicTask
from apps.tasks.periodic.crontabs import ScheduleError
from apps.tasks.periodic.misfire import SHORTEST_GRACE, Misfire
from apps.tasks.periodic.schedules import Crontab, Interval, zone_of
from apps.tasks.task import DurableTask

#: Options of apply_async that an entry has no say in, has a field for, or that are not JSON.
_NOT_OPTIONS = frozenset(
    {
        "self",
        "args",
        "kwargs",
        "task_id",
        "run_at",
        "eta",
        "countdown",
        "queue",
        "priority",
        "backoff",
        "chain",
        "link",
        "link_error",
        "chord",
        "group_id",
        "group_index",
        "root_id",
        "parent_id",
    }
)


def durable_tasks() -> dict[str, DurableTask]:
    """Every durable task of the installation by its name."""
    # As Celery's autodiscovery does in workers and in beat; its own would set up logging once more.
    autodiscover_modules("tasks")
    return {name: task for name, task in sorted(current_app.tasks.items()) if isinstance(task, DurableTask)}


def durable_task(name: str) -> DurableTask:
    """The durable task of that name. Raises `LookupError`."""
    task = current_app.tasks.get(name) or durable_tasks().get(name)
    if not isinstance(task, DurableTask):
        raise LookupError(f"no durable task {name!r} is registered")
    return task


def names_of_settings() -> set[str]:
    """The names of the entries that the settings hold."""
    return {str(name) for name in current_app.conf.beat_schedule}


def problems(entry: PeriodicTask) -> dict[str, str]:
    """What is wrong with an entry: field -> message. Empty where beat can request its runs."""
    found: dict[str, str] = {}
    for field, message in (*_of_schedule(entry), *_of_request(entry)):
        found.setdefault(field, message)
    return found


def _of_schedule(entry: PeriodicTask) -> Iterator[tuple[str, str]]:
    if (entry.interval is None) == (not entry.crontab):
        yield "interval", "An entry has an interval or a crontab: one of them, and not both."
    elif entry.interval is not None:
        try:
            Interval(entry.interval)
        except ScheduleError as exc:
            yield "interval", _sentence(exc)
    try:
        zone_of(entry.timezone)
    except ScheduleError as exc:
        yield "timezone", _sentence(exc)
    else:
        try:
            if entry.crontab:
                Crontab(entry.crontab, entry.timezone)
        except ScheduleError as exc:
            yield "crontab", _sentence(exc)
    if entry.misfire not in Misfire.values:
        yield "misfire", f"{entry.misfire!r} is none of {', '.join(Misfire.values)}."
    if entry.misfire_grace is not None and not entry.misfire_grace >= SHORTEST_GRACE:
        yield "misfire_grace", f"A grace is at least {SHORTEST_GRACE:g} second."


def _of_request(entry: PeriodicTask) -> Iterator[tuple[str, str]]:
    try:
        task = durable_task(entry.task)
    except LookupError as exc:
        yield "task", _sentence(exc)
        return
    mistakes = [*_of_call(entry, task), *_of_options(entry)]
    if mistakes:
        yield from mistakes
        return
    try:
        # Whatever else a request may be refused for. Nothing of it stays.
        with transaction.atomic():
            task.apply_async(entry.args, entry.kwargs, **entry.call_options)
            transaction.set_rollback(True)
    except (TypeError, ValueError, DataError, IntegrityError) as exc:
        yield "options", _sentence(exc)


def _of_call(entry: PeriodicTask, task: DurableTask) -> Iterator[tuple[str, str]]:
    sound = True
    for field, kind in (("args", list), ("kwargs", dict), ("options", dict)):
        value = getattr(entry, field)
        if not isinstance(value, kind):
            yield field, f"Must be a JSON {'list' if kind is list else 'object'}."
            sound = False
        elif (reason := not_json(value)) is not None:
            yield field, f"Must be JSON: {reason}."
            sound = False
    if not sound:
        return
    try:
        task.__header__(*entry.args, **entry.kwargs)  # type: ignore[attr-defined]
    except TypeError as exc:
        field = "kwargs" if entry.kwargs or not entry.args else "args"
        yield field, f"{task.name} does not take these arguments: {exc}."


def _of_options(entry: PeriodicTask) -> Iterator[tuple[str, str]]:
    if entry.queue and entry.queue not in conf.queues():
        yield "queue", f"There is no queue {entry.queue!r}; there are {', '.join(conf.queues())}."
    if entry.priority is not None and not -32_768 <= entry.priority <= 32_767:
        yield "priority", "A priority lies between -32768 and 32767."
    if isinstance(entry.options, dict) and (unknown := entry.options.keys() - _known_options()):
        known = ", ".join(sorted(_known_options()))
        yield (
            "options",
            f"Not an option of an entry: {', '.join(sorted(map(str, unknown)))}. There are: {known}.",
        )


def _known_options() -> set[str]:
    parameters = inspect.signature(DurableTask.apply_async).parameters.values()
    named = {each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD}
    return named - _NOT_OPTIONS


def not_json(value: Any) -> str | None:
    """Why *value* cannot be stored as JSON; None where it can."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as exc:
        return str(exc)
    return None


def _sentence(exc: Exception) -> str:
    return f"{str(exc).strip().rstrip('.')}."
