"""What a worker does to a run: claim it, renew the claim, end it. Every change is fenced.

A claim draws a fencing token. Ending the run takes effect only while that token is the run's
latest, so a worker whose run was given to another cannot finish it any more.
"""

from __future__ import annotations

import json
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from apps.core import context, redaction
from apps.core.database import execute
from apps.core.resources import sql
from apps.tasks import conf
from apps.tasks.backoff import Backoff
from apps.tasks.errors import Fenced, ResultTooLarge
from apps.tasks.states import State

#: An error's trace is cut to its last part: the cause stands at the end.
_TRACE_LIMIT = 8_000
#: What the keys of a run are locked as, in the order of ``keys.sql``.
_KEY_KINDS = ("order", "concurrency", "rate")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One worker's hold on one run."""

    run_id: uuid.UUID
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    attempt: int
    max_attempts: int
    #: The token of this claim.
    fence: int
    #: The context in which the run was requested.
    meta: dict[str, str]
    #: The version of the handler's signature that the arguments are of.
    args_version: int = 1
    #: The run's own back-off, where it has one.
    backoff: Backoff | None = None
    batch_id: uuid.UUID | None = None
    #: What follows the run's end.
    continuation: dict[str, Any] | None = None
    queue: str = ""
    #: Seconds from when it was due to its start.
    waited: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A run that was taken from its worker."""

    run_id: uuid.UUID
    task: str
    state: State
    worker: str
    attempt: int


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _meta() -> str:
    return json.dumps(context.current().as_meta())


def claim(*, run_id: uuid.UUID, worker: str, repeatable: bool = True) -> Claim | None:
    """Claim a run. None: there is nothing to do now.

    Where the attempt is not *repeatable* and the worker dies in it, the run ends dead and needs a review.

    That is a duplicate, a run that has ended or is not due, one that expired (and is cancelled by this
    call), or one that a key of it holds back (and is scheduled again by this call).
    """
    parameters: dict[str, Any] = {
        "id": run_id, "worker": worker, "lease": conf.lease(), "repeatable": repeatable, "meta": _meta(),
    }  # fmt: skip
    row = execute(sql(__package__, "claim.sql"), parameters).fetchone()
    return _claim_of(row) if row is not None else _claim_with_keys(parameters)


def _claim_with_keys(parameters: dict[str, Any]) -> Claim | None:
    """The claim of a run that has a gate, or the end of one that came too late."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "keys.sql"), parameters)
        row = cursor.fetchone()
        if row is None:
            return None
        *keys, claimable, expired = row
        if expired:
            expire(run_id=parameters["id"])
            return None
        locks = [f"{kind}:{key}" for kind, key in zip(_KEY_KINDS, keys, strict=True) if key]
        if not (claimable and locks):
            return None
        with transaction.atomic():
            # In a statement of its own: the next one must see what the last holder of the lock committed.
            cursor.execute(sql(__package__, "lock_keys.sql"), {"keys": locks})
            cursor.execute(sql(__package__, "claim_gated.sql"), parameters)
            row = cursor.fetchone()
    return _claim_of(row) if row is not None else None


def _claim_of(row: Sequence[Any]) -> Claim:
    (
        id_, task, args, kwargs, args_version, attempt, max_attempts, fence, meta, backoff, batch_id,
        continuation, queue, waited,
    ) = row  # fmt: skip
    backoff = _json(backoff)
    return Claim(
        run_id=uuid.UUID(str(id_)),
        task=task,
        args=_json(args),
        kwargs=_json(kwargs),
        args_version=args_version,
        attempt=attempt,
        max_attempts=max_attempts,
        fence=fence,
        meta=_json(meta),
        backoff=Backoff(**backoff) if backoff else None,
        batch_id=batch_id,
        continuation=_json(continuation),
        queue=queue,
        waited=waited,
    )


def expire(*, run_id: uuid.UUID | None = None, limit: int = 200) -> list[uuid.UUID]:
    """Cancel runs that were not started before they expired: one, or at most *limit*. Returns their ids."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "expire.sql"), {"id": run_id, "limit": limit, "meta": _meta()})
            run_ids = [uuid.UUID(str(row[0])) for row in cursor.fetchall()]
        _unsuccessful(run_ids)
    return run_ids


def hand_back(
    *,
    run_ids: Sequence[uuid.UUID],
    worker: str,
    reason: str,
    fence: int | None = None,
    delay: float = 0.0,
) -> list[uuid.UUID]:
    """Give runs back that *worker* holds, to be started again after *delay* seconds. Returns which were.

    The attempt does not count. What the handler has not committed by now it cannot commit any more. With a
    *fence*, only that claim is given back.
    """
    parameters = {
        "ids": list(run_ids), "worker": worker, "fence": fence, "reason": reason, "delay": delay,
        "meta": _meta(),
    }  # fmt: skip
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "hand_back.sql"), parameters)
            run_ids = [uuid.UUID(str(row[0])) for row in cursor.fetchall()]
        # Those that somebody had asked to cancel have ended.
        _unsuccessful(run_ids)
    return run_ids


def succeed(claimed: Claim, result: Any) -> None:
    """Finish the run, and request what follows it.

    Raises `Fenced` when it is no longer this claim's, and `ResultTooLarge`: roll back what was written.
    """
    encoded = None if result is None else json.dumps(result, cls=DjangoJSONEncoder)
    if encoded is not None and len(encoded) > conf.result_limit():
        raise ResultTooLarge(
            f"the result is {len(encoded):,} characters of JSON, the limit is {conf.result_limit():,}:"
            " store it elsewhere and return where it is"
        )
    if claimed.continuation is None and claimed.batch_id is None:
        _succeed(claimed, encoded)
        return
    from apps.tasks import continuations

    with transaction.atomic():
        _succeed(claimed, encoded)
        continuations.succeeded(claimed, None if encoded is None else json.loads(encoded))


def _succeed(claimed: Claim, encoded: str | None) -> None:
    finished = execute(
        sql(__package__, "succeed.sql"),
        {"id": claimed.run_id, "fence": claimed.fence, "result": encoded, "meta": _meta()},
    )
    if finished.rowcount != 1:
        raise Fenced(f"run {claimed.run_id} is no longer held by attempt {claimed.attempt}")


def fail(claimed: Claim, exc: BaseException, *, retry: bool, delay: float = 0.0) -> State | None:
    """End a failed attempt: scheduled again after *delay* seconds, or dead, or cancelled if asked for.

    Returns the run's new state; None when it is no longer this claim's, and nothing was changed.
    """
    reason = "the error is permanent" if not retry else f"{claimed.max_attempts} attempts have failed"
    error = describe(exc)
    parameters: dict[str, Any] = {
        "id": claimed.run_id,
        "fence": claimed.fence,
        "retry": retry,
        "delay": delay,
        "error": json.dumps(error),
        "reason": f"{reason}: {error['type']}: {error['message']}",
        "meta": _meta(),
    }
    with _ending(claimed), connection.cursor() as cursor:
        cursor.execute(sql(__package__, "fail.sql"), parameters)
        row = cursor.fetchone()
    return None if row is None else State(row[0])


def cancelled(claimed: Claim) -> None:
    """End the run on request. Nothing happens when it is no longer this claim's."""
    with _ending(claimed), connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "cancelled.sql"),
            {"id": claimed.run_id, "fence": claimed.fence, "meta": _meta()},
        )


def revoke(*, run_id: uuid.UUID, fence: int) -> bool:
    """End a run on request whose handler was killed for it. False: the claim of that *fence* is over."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "cancelled.sql"), {"id": run_id, "fence": fence, "meta": _meta()})
            done = cursor.fetchone() is not None
        if done:
            _unsuccessful([run_id])
    return done


def give_up(*, run_id: uuid.UUID, message_id: str, reason: str) -> bool:
    """End a run that nobody could claim, although its message was received again and again.

    False: the run is not queued, or by a later publication than that of this message.
    """
    parameters: dict[str, Any] = {
        "id": run_id, "message_id": message_id, "reason": reason, "meta": _meta(),
    }  # fmt: skip
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "give_up.sql"), parameters)
            done = cursor.fetchone() is not None
        if done:
            _unsuccessful([run_id])
    return done


def renew(*, run_ids: Sequence[uuid.UUID], worker: str) -> int:
    """Renew *worker*'s claims on those of the runs that it still holds; returns how many those are."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "renew.sql"), {"ids": list(run_ids), "worker": worker, "lease": conf.lease()}
        )
        return int(cursor.rowcount)


def expired(*, ago: float = 0.0, limit: int = 200) -> list[tuple[uuid.UUID, int]]:
    """At most *limit* runs whose leases ran out *ago* seconds ago, with the tokens of their claims."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "expired.sql"), {"ago": ago, "limit": limit})
        return [(uuid.UUID(str(id_)), fence) for id_, fence in cursor.fetchall()]


def reconcile(*, ago: float = 0.0, limit: int = 200) -> list[Orphan]:
    """Take at most *limit* runs from their workers whose leases ran out *ago* seconds ago."""
    return take(expired(ago=ago, limit=limit))


def take(held: Sequence[tuple[uuid.UUID, int]], reason: str | None = None) -> list[Orphan]:
    """Take those of the runs from their workers whose leases have run out, if the claims are still those.

    The lost attempt counts. What has attempts left is scheduled again at once; the rest is dead, and so is
    what must not be repeated unseen. Any number of processes may do this at the same time: each run is taken
    once.
    """
    return _orphans(held=held, reason=reason)


def take_from(worker: str, reason: str) -> list[Orphan]:
    """Take all its runs from a worker that is known to be dead, whatever their leases."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "holdings.sql"), {"worker": worker})
        held = [(uuid.UUID(str(row[0])), row[1]) for row in cursor.fetchall()]
    return _orphans(held=held, worker=worker, reason=reason, forced=True)


def orphan(*, run_id: uuid.UUID, worker: str, reason: str, fence: int | None = None) -> Orphan | None:
    """Take a run from *worker*, which has lost it: as `take` would, without waiting for the lease.

    None: the worker does not hold the run, or not by the claim of that *fence*.
    """
    found = _orphans(held=[(run_id, fence)], worker=worker, reason=reason, forced=True)
    return found[0] if found else None


def _orphans(
    *,
    held: Sequence[tuple[uuid.UUID, int | None]],
    worker: str = "",
    reason: str | None = None,
    forced: bool = False,
) -> list[Orphan]:
    if not held:
        return []
    parameters: dict[str, Any] = {
        "ids": [run_id for run_id, _ in held], "fences": [fence for _, fence in held], "worker": worker,
        "forced": forced, "reason": reason, "meta": _meta(),
    }  # fmt: skip
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "orphans.sql"), parameters)
            rows = cursor.fetchall()
        _unsuccessful([uuid.UUID(str(row[0])) for row in rows])
    return [
        Orphan(
            run_id=uuid.UUID(str(id_)),
            task=task,
            state=State(state),
            worker=worker,
            attempt=attempt,
        )
        for id_, task, state, worker, attempt, _ in rows
    ]


@contextmanager
def _ending(claimed: Claim) -> Iterator[None]:
    """What the block does to a run that something follows is one with what follows its end."""
    if claimed.continuation is None and claimed.batch_id is None:
        yield
        return
    with transaction.atomic():
        yield
        _unsuccessful([claimed.run_id])


def _unsuccessful(run_ids: Sequence[uuid.UUID]) -> None:
    """Do what is to be done for those of the runs that are dead or cancelled now."""
    from apps.tasks import continuations

    continuations.unsuccessful(run_ids)


def describe(exc: BaseException) -> dict[str, str]:
    """An exception as it is stored with a run: without the secrets that its text shows."""
    trace = redaction.text("".join(traceback.format_exception(exc)))
    return {"type": type(exc).__name__, "message": redaction.text(str(exc)), "trace": trace[-_TRACE_LIMIT:]}
