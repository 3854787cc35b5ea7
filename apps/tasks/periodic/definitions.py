"""Entries as the settings define them: ``CELERY_BEAT_SCHEDULE``, and what ``add_periodic_task`` adds to it.

An entry is a mapping with ``task`` and ``schedule`` (seconds, a timedelta, Celery's schedule or crontab,
or a crontab expression), and optionally ``args``, ``kwargs`` and ``options`` as with Celery, ``timezone`` (of
the crontab; else Celery's), ``misfire`` (skip, once, all), ``misfire_grace`` (seconds) and ``enabled``
(False: the entry is off until somebody switches it on).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from celery import schedules

from apps.tasks.models import PeriodicTask
from apps.tasks.periodic import crontabs
from apps.tasks.periodic.crontabs import ScheduleError
from apps.tasks.periodic.misfire import Misfire
from apps.tasks.periodic.validation import not_json, problems

#: The fields that make up an entry's definition, whoever defines it.
FIELDS = (
    "task", "args", "kwargs", "queue", "priority", "options", "interval", "crontab", "timezone",
    "misfire", "misfire_grace",
)  # fmt: skip
#: Those of them that say when it ticks.
TIMING = ("interval", "crontab", "timezone")


def read(name: str, entry: Any, *, timezone: str) -> tuple[PeriodicTask, list[str]]:
    """The row that an entry of the settings asks for, not saved; and what is wrong with the entry.

    *timezone* is that of crontabs which name none. Never raises. A row with something wrong can be saved,
    but has no schedule: part of a definition is not to be requested.
    """
    row = PeriodicTask(name=name, timezone=timezone)
    if not isinstance(entry, Mapping):
        return row, [f"an entry is a dictionary, not {type(entry).__name__}"]
    parts: dict[str, Callable[[Any], Mapping[str, Any]]] = {
        "task": lambda given: {"task": str(given)},
        "schedule": _schedule,
        "args": lambda given: {"args": _json(list(given or ()))},
        "kwargs": lambda given: {"kwargs": _json(dict(given or {}))},
        "options": _options,
        "relative": _relative,
        "timezone": lambda given: {"timezone": str(given)},
        "misfire": lambda given: {"misfire": str(given)},
        "misfire_grace": lambda given: {"misfire_grace": None if given is None else float(given)},
        "enabled": lambda given: {"enabled": bool(given)},
    }
    mistakes = [f"{key}: not known here; known are {', '.join(parts)}" for key in entry if key not in parts]
    for key, part in parts.items():
        if key in entry:
            try:
                for field, value in part(entry[key]).items():
                    setattr(row, field, value)
            except (TypeError, ValueError) as exc:
                mistakes.append(f"{key}: {exc}")
    if "schedule" not in entry:
        mistakes.append("schedule: missing")
    mistakes = mistakes or [f"{field}: {message}" for field, message in problems(row).items()]
    if mistakes:
        row.interval, row.crontab = None, ""
        row.misfire, row.misfire_grace, row.priority = Misfire.ONCE, None, None
    return row, mistakes


def _json(value: Any) -> Any:
    """*value* as it comes back from the database."""
    if (reason := not_json(value)) is not None:
        raise TypeError(f"must be JSON: {reason}")
    return json.loads(json.dumps(value))


def _options(given: Any) -> dict[str, Any]:
    options = _json(dict(given or {}))
    queue, priority = options.pop("queue", None), options.pop("priority", None)
    return {
        "queue": str(queue or ""),
        "priority": None if priority is None else int(priority),
        "options": options,
    }


def _relative(given: Any) -> dict[str, Any]:
    if given:
        raise ScheduleError("intervals count from 1970 in UTC, never from elsewhere; use a crontab")
    return {}


def _schedule(given: Any) -> dict[str, Any]:
    if isinstance(given, schedules.crontab):
        return {"crontab": crontabs.expression_of(given)}
    if isinstance(given, schedules.schedule):
        return _relative(given.relative) | {"interval": given.run_every.total_seconds()}  # type: ignore[attr-defined]
    if isinstance(given, timedelta):
        return {"interval": given.total_seconds()}
    if isinstance(given, int | float) and not isinstance(given, bool):
        return {"interval": float(given)}
    if isinstance(given, str):
        return {"crontab": " ".join(given.split())}
    raise ScheduleError(
        "expected seconds, a timedelta, a crontab expression, or Celery's schedule or crontab,"
        f" not {type(given).__name__}"
    )
