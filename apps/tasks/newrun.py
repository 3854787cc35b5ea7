"""What a request says: values, checked before anything is recorded."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apps.core.ids import uuid7
from apps.tasks import conf
from apps.tasks.backoff import Backoff
from apps.tasks.queues import is_fifo
from apps.tasks.rates import Rate
from apps.tasks.states import ACTIVE, State

#: What a small integer of the database holds.
_PRIORITIES = range(-32_768, 32_768)


@dataclass(frozen=True, kw_only=True)
class Unique:
    """What makes a second request the first: a run of the same key in one of *states*.

    By default that is a run that has not ended, and a constraint of the database stands for it.
    """

    key: str
    states: tuple[State, ...] = ACTIVE
    #: How long after its request a run counts; None: for as long as it is in one of the states.
    period: timedelta | None = None

    @property
    def while_active(self) -> bool:
        """Whether the key is taken exactly until its run has ended."""
        return self.period is None and set(self.states) == set(ACTIVE)


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run to be requested. Its arguments are JSON values."""

    task: str
    queue: str
    id: uuid.UUID = field(default_factory=uuid7)
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    args_version: int = 1
    max_attempts: int = 1
    backoff: Backoff | None = None
    #: Not before this time; without it, *countdown* seconds from the request.
    run_at: datetime | None = None
    countdown: float = 0.0
    #: No attempt starts from then on: a time, or seconds from the request.
    expires: datetime | float | None = None
    priority: int = 0
    group_key: str = ""
    unique: Unique | None = None
    concurrency_key: str = ""
    concurrency_limit: int = 0
    rate_key: str = ""
    rate: Rate | None = None
    rate_cost: int = 1
    batch_id: uuid.UUID | None = None
    batch_index: int | None = None
    continuation: dict[str, Any] | None = None

    @property
    def order_key(self) -> str:
        """Runs of one group on a FIFO queue start one at a time, in the order of their requests."""
        return f"{self.queue}/{self.group_key}" if is_fifo(self.queue) and self.group_key else ""

    def check(self) -> None:
        """Raises `ValueError` for what cannot work."""
        if self.queue not in conf.queues():
            raise ValueError(f"there is no queue {self.queue!r}")
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {self.max_attempts}")
        if self.priority not in _PRIORITIES:
            raise ValueError(f"priority must be a small integer, not {self.priority}")
        if self.order_key and self.priority:
            raise ValueError("runs of a group on a FIFO queue start in order: they take no priority")
        if bool(self.concurrency_key) != (self.concurrency_limit >= 1):
            raise ValueError("concurrency_key and concurrency_limit (at least 1) go together")
        if bool(self.rate_key) != (self.rate is not None):
            raise ValueError("rate_key and rate go together")
        if self.rate is not None and not 1 <= self.rate_cost <= self.rate.limit:
            raise ValueError(f"rate_cost must be between 1 and the rate's limit, not {self.rate_cost}")
        if self.unique is not None and not self.unique.key:
            raise ValueError("unique_key must not be empty")

    def as_row(self) -> dict[str, Any]:
        """The parameters of ``request.sql``."""
        late = self.expires
        return {
            "id": self.id,
            "task": self.task,
            "queue": self.queue,
            "args": self.args,
            "kwargs": self.kwargs,
            "args_version": self.args_version,
            "max_attempts": self.max_attempts,
            "backoff": asdict(self.backoff) if self.backoff else None,
            "run_at": self.run_at.isoformat() if self.run_at else None,
            "countdown": self.countdown,
            "expires_at": late.isoformat() if isinstance(late, datetime) else None,
            "expires_in": None if isinstance(late, datetime) else late,
            "priority": self.priority,
            "group_key": self.group_key,
            "unique_key": self.unique.key if self.unique else None,
            "unique_while_active": self.unique is not None and self.unique.while_active,
            "order_key": self.order_key,
            "concurrency_key": self.concurrency_key,
            "concurrency_limit": self.concurrency_limit,
            "rate_key": self.rate_key,
            "rate_limit": self.rate.limit if self.rate else 0,
            "rate_period": self.rate.period if self.rate else 0,
            "rate_cost": self.rate_cost if self.rate else 0,
            "gate": self.order_key or self.concurrency_key or self.rate_key,
            "batch_id": self.batch_id,
            "batch_index": self.batch_index,
            "continuation": self.continuation,
        }


@dataclass(frozen=True, kw_only=True)
class Requested:
    """What became of a request."""

    run_id: uuid.UUID
    #: False where a run was there already, which is then the one of *run_id*.
    created: bool
