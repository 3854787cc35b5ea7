"""The Celery task class whose runs are durable."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from celery.result import AsyncResult
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from apps.core.ids import uuid7
from apps.tasks import conf
from apps.tasks.backoff import Backoff
from apps.tasks.states import State

#: Options that Celery itself passes along and that mean nothing here.
_IGNORED_OPTIONS = frozenset({"producer", "connection", "router", "publisher", "ignore_result"})


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
        **options: Any,
    ) -> AsyncResult[Any]:
        """Request a run, in the caller's transaction if there is one.

        run_at, eta: not before this aware time. countdown: not before so many seconds from now.
        unique_key: while a run with this key has not ended, that run is returned instead.
        task_id: a UUID; a run that has it already is returned instead.

        Raises `TypeError` for arguments that the handler does not take or that are not JSON, and for
        options that durable tasks do not have.
        """
        from apps.tasks import services

        unknown = options.keys() - _IGNORED_OPTIONS
        if unknown:
            raise TypeError(f"{self.name}: durable tasks take no option {', '.join(sorted(unknown))}")
        if max_attempts is not None and max_attempts < 1:
            raise TypeError(f"{self.name}: max_attempts must be at least 1, not {max_attempts}")
        if (queue or self.default_queue) not in conf.queues():
            raise TypeError(f"{self.name}: there is no queue {queue or self.default_queue!r}")
        arguments, keywords = self._json_arguments(args or (), kwargs or {})
        moment = run_at or eta
        if moment is not None and timezone.is_naive(moment):
            raise TypeError(f"{self.name}: run_at must be an aware time, {moment!r} is not")
        run_id = services.request(
            run_id=uuid.UUID(task_id) if task_id else uuid7(),
            task=self.name,
            queue=queue or self.default_queue,
            args=arguments,
            kwargs=keywords,
            max_attempts=self.max_attempts if max_attempts is None else max_attempts,
            run_at=moment.astimezone(UTC) if moment else None,
            countdown=countdown or 0.0,
            priority=priority or 0,
            group_key=group_key,
            unique_key=unique_key,
        )
        return self.AsyncResult(str(run_id))

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
        if self.request.called_directly:
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
                handler=self.run,
                atomic=self.atomic,
                backoff=self.backoff,
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
