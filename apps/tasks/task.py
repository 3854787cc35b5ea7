"""The Celery task class whose runs are durable."""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from celery.result import AsyncResult
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from apps.core import context
from apps.core.ids import uuid7
from apps.tasks.backoff import Backoff
from apps.tasks.errors import IncompatibleArguments
from apps.tasks.newrun import NewRun, Unique
from apps.tasks.rates import Rate
from apps.tasks.run import current_run
from apps.tasks.states import ACTIVE, State

if TYPE_CHECKING:
    from apps.tasks.claims import Claim

#: Options that Celery itself passes along and that mean nothing here.
_IGNORED_OPTIONS = frozenset(
    {
        "producer", "connection", "router", "publisher", "ignore_result", "add_to_parent", "reply_to",
        "route_name", "replaced_task_nesting", "retry", "retry_policy", "stamped_headers",
    }
)  # fmt: skip

#: Makes arguments (positional, named) of the next version from those of one version.
Upgrade = Callable[[list[Any], dict[str, Any]], tuple[list[Any], dict[str, Any]]]


def _aware(name: str, moment: datetime | None) -> datetime | None:
    if moment is not None and timezone.is_naive(moment):
        raise ValueError(f"{name} must be an aware time, {moment!r} is not")
    return moment.astimezone(UTC) if moment else None


def _seconds(span: timedelta | float) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else float(span)


def _expiry(expires: datetime | timedelta | float | None) -> datetime | float | None:
    """An aware time, or seconds from the request."""
    if expires is None or isinstance(expires, datetime):
        return _aware("expires", expires)
    if _seconds(expires) <= 0:
        raise ValueError("expires must lie in the future")
    return _seconds(expires)


def _unique(
    key: str | None, period: timedelta | float | None, states: Iterable[State] | None
) -> Unique | None:
    if key is None:
        if period is not None or states is not None:
            raise ValueError("unique_for and unique_states need a unique_key")
        return None
    return Unique(
        key=key,
        states=ACTIVE if states is None else tuple(State(state) for state in states),
        period=None if period is None else timedelta(seconds=_seconds(period)),
    )


@cache
def _own_options() -> frozenset[str]:
    """The names of the options that `DurableTask.apply_async` has."""
    parameters = inspect.signature(DurableTask.apply_async).parameters
    return frozenset(parameters) - {"self", "args", "kwargs", "options"}


def _caused_by(parent_id: str | None, root_id: str | None) -> AbstractContextManager[Any]:
    """The causes that Celery names, where the context names none: it does in runs only."""
    known = context.current()
    return context.bind(
        causation_id=known.causation_id or parent_id or "",
        correlation_id=known.correlation_id or root_id or "",
    )


class DurableTask(Task):  # type: ignore[type-arg]
    """A task whose every run is recorded in the database before anything is sent.

    `delay` and `apply_async` record the run in the caller's transaction; the relay publishes it after
    the commit; the worker claims it, and its end is recorded with what it wrote. The message carries
    the run's id and nothing else.
    """

    abstract = True

    #: The logical queue, from the option ``queue``.
    default_queue: str = "default"
    #: How often the run may be started.
    max_attempts: int = 8
    #: How long to wait between attempts.
    backoff: Backoff = Backoff()
    #: Whether the handler runs in one transaction together with the record of its success.
    atomic: bool = True
    #: Whether an attempt whose worker died may be followed by another that nobody has decided on. Otherwise
    #: the run ends dead, marked as needing a review.
    repeatable: bool = True
    #: The version of the handler's signature: to be raised when recorded arguments would not fit any more.
    args_version: int = 1
    #: Version -> what makes arguments of the next version from arguments of that one.
    upgrades: Mapping[int, Upgrade] = {}
    #: Runs with the same key: at most so many at a time, across all workers.
    concurrency_key: str = ""
    concurrency_limit: int = 0
    #: Runs with the same key start no more often than this (``1200/m``).
    rate_key: str = ""
    rate: Rate | str | None = None

    Request = "apps.tasks.worker.requests:DurableRequest"
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    # Attempts are counted in the database; Celery's own retry is never used.
    max_retries = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take over the option ``queue``: by that name Celery would route (and warns of it)."""
        super().__init_subclass__(**kwargs)
        if "queue" in cls.__dict__:
            cls.default_queue = cls.__dict__["queue"]
            delattr(cls, "queue")

    def apply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        *,
        run_at: datetime | None = None,
        eta: datetime | None = None,
        countdown: float | None = None,
        queue: str | None = None,
        priority: int | None = None,
        group_key: str = "",
        unique_key: str | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        expires: datetime | timedelta | float | None = None,
        unique_for: timedelta | float | None = None,
        unique_states: Iterable[State] | None = None,
        concurrency_key: str | None = None,
        concurrency_limit: int | None = None,
        rate_key: str | None = None,
        rate: Rate | str | None = None,
        rate_cost: int = 1,
        chain: Sequence[Any] | None = None,
        link: Any = None,
        link_error: Any = None,
        chord: Any = None,
        group_id: str | None = None,
        group_index: int | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Request a run, in the caller's transaction if there is one.

        run_at, eta: not before this aware time. countdown: not before so many seconds from now.
        expires: no attempt starts after this time (or so many seconds from now); the run is cancelled.
        priority: of runs of a queue that are due, the higher is published first.
        group_key: the SQS message group. On a FIFO queue (``*.fifo``) runs of a group start one at a time,
        in the order of their requests; on others it is the group of SQS's fair queues.
        unique_key: while a run with this key has not ended, that run is returned instead. unique_for:
        only runs requested so long ago at most count. unique_states: only runs in these states count.
        concurrency_key, concurrency_limit: at most so many runs of the key at a time, across all workers.
        rate_key, rate, rate_cost: starts of the key cost no more than the rate allows, in any window of it.
        task_id: a UUID; a run that has it already is returned instead.
        link, link_error: signatures to be requested when the run succeeds, with its result before their own
        arguments, and when it is dead or cancelled (see `canvas.start_errbacks`).
        chain, chord, group_id, group_index, root_id, parent_id: set by Celery's canvas.

        Raises `TypeError` for arguments that the handler does not take or that are not JSON, for options
        that durable tasks do not have, and for values of options that cannot work.
        """
        from apps.tasks import canvas
        from apps.tasks.requests import request

        self.check_options(options)
        continuation = canvas.continuation(chain=chain, link=link, link_error=link_error, root_id=root_id)
        if unique_key is not None and (continuation or chord):
            raise TypeError(f"{self.name}: a run with a unique key may be another's: nothing can follow it")
        try:
            run = self.new_run(
                args,
                kwargs,
                id=uuid.UUID(task_id) if task_id else uuid7(),
                run_at=run_at or eta,
                countdown=countdown,
                queue=queue,
                priority=priority,
                group_key=group_key,
                unique=_unique(unique_key, unique_for, unique_states),
                max_attempts=max_attempts,
                backoff=backoff,
                expires=expires,
                concurrency_key=concurrency_key,
                concurrency_limit=concurrency_limit,
                rate_key=rate_key,
                rate=rate,
                rate_cost=rate_cost,
                continuation=continuation,
                batch_id=uuid.UUID(group_id) if chord and group_id else None,
                batch_index=group_index if chord else None,
            )
        except ValueError as exc:
            raise TypeError(f"{self.name}: {exc}") from None
        with _caused_by(parent_id, root_id):
            return self.AsyncResult(str(request(run).run_id))

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Raises `TypeError` for options that durable tasks do not have."""
        known = _IGNORED_OPTIONS.union(_own_options(), options.get("stamped_headers") or ())
        unknown = options.keys() - known
        if unknown:
            raise TypeError(f"{cls.name}: durable tasks take no option {', '.join(sorted(unknown))}")

    def new_run(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        id: uuid.UUID | None = None,  # noqa: A002 (the field's name)
        run_at: datetime | None = None,
        countdown: float | None = None,
        queue: str | None = None,
        priority: int | None = None,
        group_key: str = "",
        unique: Unique | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        expires: datetime | timedelta | float | None = None,
        concurrency_key: str | None = None,
        concurrency_limit: int | None = None,
        rate_key: str | None = None,
        rate: Rate | str | None = None,
        rate_cost: int = 1,
        **others: Any,
    ) -> NewRun:
        """What `apply_async` requests, not requested yet; *others* are further fields of `NewRun`.

        Raises `TypeError` for arguments that cannot be recorded, `ValueError` for options that cannot work.
        """
        arguments, keywords = self._json_arguments(args or (), kwargs or {})
        concurrency_key = self.concurrency_key if concurrency_key is None else concurrency_key
        limit = self.concurrency_limit if concurrency_limit is None else concurrency_limit
        rate_key = self.rate_key if rate_key is None else rate_key
        rate = self.rate if rate is None else rate
        run = NewRun(
            id=id or uuid7(),
            task=self.name,
            queue=queue or self.default_queue,
            args=arguments,
            kwargs=keywords,
            args_version=self.args_version,
            max_attempts=self.max_attempts if max_attempts is None else max_attempts,
            backoff=backoff,
            run_at=_aware("run_at", run_at),
            countdown=countdown or 0.0,
            expires=_expiry(self.expires if expires is None else expires),
            priority=(self.priority or 0) if priority is None else priority,
            group_key=group_key,
            unique=unique,
            concurrency_key=concurrency_key,
            concurrency_limit=limit if concurrency_key else 0,
            rate_key=rate_key,
            rate=(Rate.parse(rate) if isinstance(rate, str) else rate) if rate_key else None,
            rate_cost=rate_cost,
            **others,
        )
        run.check()
        return run

    def arguments_of(self, claimed: Claim) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a run, brought to the present version of the handler's signature.

        Raises `IncompatibleArguments` where no upgrade leads to it, or the handler does not take them.
        """
        args, kwargs, version = claimed.args, claimed.kwargs, claimed.args_version
        while version < self.args_version:
            step = self.upgrades.get(version)
            if step is None:
                raise IncompatibleArguments(
                    f"the arguments were recorded at version {claimed.args_version} and {self.name} is at"
                    f" {self.args_version}: no upgrade from {version} is known"
                )
            args, kwargs = step(list(args), dict(kwargs))
            version += 1
        if version > self.args_version:
            raise IncompatibleArguments(
                f"the arguments were recorded at version {version}, and no worker has come that knows more"
                f" of {self.name} than {self.args_version}"
            )
        try:
            self.__header__(*args, **kwargs)  # type: ignore[attr-defined]
        except TypeError as exc:
            raise IncompatibleArguments(
                f"{self.name} does not take these arguments: {exc}; give it an args_version and an upgrade"
            ) from None
        return args, kwargs

    def handle(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Execute the handler for the run that is claimed."""
        return self.run(*args, **kwargs)

    def _json_arguments(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        self.__header__(*args, **kwargs)  # type: ignore[attr-defined]
        given = [*((str(index), value) for index, value in enumerate(args)), *kwargs.items()]
        for name, value in given:
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as exc:
                raise TypeError(f"{self.name}: argument {name} is not a JSON value: {exc}") from None
        return list(args), dict(kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """In a worker, an attempt of the run whose id the message carries; elsewhere, the function."""
        # Within a handler, Celery's request is still that of the run.
        if self.request.called_directly or current_run().id is not None:
            return super().__call__(*args, **kwargs)
        from apps.tasks.execution import attempt
        from apps.tasks.models import TaskRun
        from apps.tasks.worker import identity

        try:
            run_id = uuid.UUID(self.request.id)
        except ValueError:
            raise Reject(f"{self.name}: {self.request.id!r} is no run", requeue=False) from None
        try:
            outcome = attempt(
                run_id=run_id,
                worker=identity(self.request.hostname),
                task=self,
            )
            if outcome.state is None and not TaskRun.objects.filter(pk=run_id).exists():
                raise Reject(f"{self.name}: run {run_id} was never requested", requeue=False)
        except (DatabaseError, InterfaceError) as exc:
            # Nothing is known of the run without the database. The message comes back, and where it
            # does not, the run is found by its lease or by its empty queue.
            raise Reject(str(exc), requeue=True) from exc
        if outcome.state is State.SUCCEEDED:
            return outcome.result
        if outcome.state is State.SCHEDULED:
            raise Retry(exc=outcome.error, when=datetime.now(UTC) + timedelta(seconds=outcome.delay))
        if outcome.error is not None:
            raise outcome.error
        raise Ignore
