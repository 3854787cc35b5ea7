"""Which runs somebody means: one filter for the command line, HTTP and the admin."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import Exact

from apps.tasks.models import TaskRun
from apps.tasks.models.run import BY_USERS
from apps.tasks.states import State

#: A search finds at most so many runs of each kind of match.
SEARCH_LIMIT = 1000

_LISTS = ("states", "tasks", "queues", "workers", "error_types")
_TEXTS = ("group_key", "unique_key", "error_text", "correlation_id", "search", "actor")
_MOMENTS = ("requested_since", "requested_until", "finished_since", "finished_until")


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Conditions that a run must fulfil, all of them. What is empty is no condition."""

    states: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    #: The last claimants.
    workers: tuple[str, ...] = ()
    #: Of the last failed attempt.
    error_types: tuple[str, ...] = ()
    #: How the message group's key begins.
    group_key: str = ""
    #: How the unique key begins.
    unique_key: str = ""
    #: What the message of the last failed attempt's error contains, in upper or lower case.
    error_text: str = ""
    #: The first cause: what was requested under it, and the run of that id itself.
    correlation_id: str = ""
    batch_id: uuid.UUID | None = None
    #: An id (of a run, of a batch, of a first cause), a task's name, or how a key begins.
    search: str = ""
    requested_since: datetime | None = None
    requested_until: datetime | None = None
    finished_since: datetime | None = None
    finished_until: datetime | None = None
    ids: tuple[uuid.UUID, ...] = ()
    #: Those that are dead because they must not be repeated unseen.
    needs_review: bool = False
    #: Who asked for them: ``user:<id>``.
    actor: str = ""

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return any(asdict(self).values())

    def narrowed(self, **changes: Any) -> RunFilter:
        """The same filter with some conditions replaced."""
        return replace(self, **changes)

    def runs(self) -> QuerySet[TaskRun]:
        """The runs that fulfil it, newest first."""
        return self.apply(TaskRun.objects.all()).order_by("-id")

    def apply(self, runs: QuerySet[TaskRun]) -> QuerySet[TaskRun]:
        """Those of *runs* that fulfil it."""
        found = runs.filter(self._conditions())
        if self.error_types:
            found = found.alias(error_type=KeyTextTransform("type", "error")).filter(
                error__isnull=False, error_type__in=self.error_types
            )
        if self.error_text:
            found = found.alias(error_message=KeyTextTransform("message", "error")).filter(
                error__isnull=False, error_message__icontains=self.error_text
            )
        if self.actor:
            asked_by = Exact(KeyTextTransform("actor", "meta"), self.actor)
            found = found.filter(BY_USERS, asked_by)
        if self.correlation_id:
            found = found.filter(pk__in=_correlated(self.correlation_id))
        if self.search:
            found = found.filter(pk__in=_searched(self.search))
        return found

    def _conditions(self) -> Q:
        lookups = {
            "state__in": self.states,
            "task__in": self.tasks,
            "queue__in": self.queues,
            "worker__in": self.workers,
            "pk__in": self.ids,
            "batch_id": self.batch_id,
            "group_key__startswith": self.group_key,
            "unique_key__startswith": self.unique_key,
            "requested_at__gte": self.requested_since,
            "requested_at__lt": self.requested_until,
            "finished_at__gte": self.finished_since,
            "finished_at__lt": self.finished_until,
            "needs_review": self.needs_review,
        }
        conditions = Q(**{lookup: value for lookup, value in lookups.items() if value})
        # The index holds no empty keys, and the server does not see that none of these is asked for.
        return conditions & ~Q(group_key="") if self.group_key else conditions

    def as_json(self) -> dict[str, Any]:
        """The conditions as a JSON object, from which `from_json` makes the same filter."""
        shown: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if isinstance(value, datetime):
                shown[name] = value.isoformat()
            elif isinstance(value, tuple) and value:
                shown[name] = [str(item) for item in value]
            elif value is True:
                shown[name] = True
            elif value:
                shown[name] = str(value)
        return shown

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> RunFilter:
        """The filter of a JSON object; raises `ValueError` for what is not one."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(given.keys() - known):
            raise ValueError(f"there is no condition {', '.join(unknown)}")
        values: dict[str, Any] = {name: tuple(map(str, given[name])) for name in _LISTS if name in given}
        values |= {name: str(given[name]) for name in _TEXTS if name in given}
        values |= {name: _moment(given[name]) for name in _MOMENTS if given.get(name)}
        values["needs_review"] = bool(given.get("needs_review"))
        if given.get("batch_id"):
            values["batch_id"] = uuid.UUID(str(given["batch_id"]))
        values["ids"] = tuple(uuid.UUID(str(run_id)) for run_id in given.get("ids", ()))
        if wrong := sorted(set(values.get("states", ())) - set(State.values)):
            raise ValueError(f"there is no state {', '.join(wrong)}")
        return cls(**values)

    def __str__(self) -> str:
        parts = []
        for name, value in self.as_json().items():
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            if value is True:
                parts.append(name.replace("_", " "))
                continue
            if name == "ids" and len(value) > 3:
                shown = f"{len(value)} runs"
            parts.append(f"{name.removesuffix('s').replace('_', ' ')} {shown}")
        return "; ".join(parts) or "all runs"


#: No condition.
EVERYTHING = RunFilter()


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None:
        raise ValueError(f"{value} is not an aware time")
    return moment


def _correlated(correlation_id: str) -> list[uuid.UUID]:
    """What followed from one first cause. A run without one is the first cause of what it requested."""
    found = list(_by_meta("correlation_id", correlation_id))
    return [*found, *_as_uuid(correlation_id)]


def _by_meta(key: str, value: str) -> QuerySet[TaskRun, uuid.UUID]:
    runs = TaskRun.objects.alias(**{f"meta_{key}": KeyTextTransform(key, "meta")})
    return _ids(runs.filter(**{"meta__has_key": key, f"meta_{key}": value}))


def _ids(runs: QuerySet[TaskRun]) -> QuerySet[TaskRun, uuid.UUID]:
    return runs.order_by().values_list("pk", flat=True)[:SEARCH_LIMIT]


def _searched(text: str) -> list[uuid.UUID]:
    """The runs that *text* may mean, each kind of match by an index of its own."""
    text = text.strip()
    runs = TaskRun.objects
    matches = _ids(runs.filter(unique_key__startswith=text)).union(
        _ids(runs.filter(group_key__startswith=text).exclude(group_key="")),
        _by_meta("correlation_id", text),
        runs.filter(task=text).order_by("-id").values_list("pk", flat=True)[:SEARCH_LIMIT],
        all=True,
    )
    by_id = _as_uuid(text)
    if by_id:
        by_id += _ids(runs.filter(batch_id=by_id[0]))
    return [*dict.fromkeys([*by_id, *matches])]


def _as_uuid(text: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text)]
    except ValueError:
        return []
