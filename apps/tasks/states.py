"""The states of a run, the events that move it, and which moves exist."""

from __future__ import annotations

from typing import Any

from django.db import models

from apps.events.registry import EventType, register, upcast


class State(models.TextChoices):
    """Where a run stands."""

    SCHEDULED = "scheduled", "Scheduled: waiting for its commit, its time or its next attempt"
    QUEUED = "queued", "Queued: a message for it is on SQS"
    RUNNING = "running", "Running: claimed by one worker under a lease"
    SUCCEEDED = "succeeded", "Succeeded: finished, and its effect is committed"
    DEAD = "dead", "Dead: given up; can be redriven"
    CANCELLED = "cancelled", "Cancelled: ended on request"


ACTIVE = (State.SCHEDULED, State.QUEUED, State.RUNNING)
ENDED = (State.SUCCEEDED, State.DEAD, State.CANCELLED)


class Operation(models.TextChoices):
    """What can be done to a run."""

    REDRIVE = "redrive", "Redrive: send a dead or cancelled run on its way again, with fresh attempts"
    RETRY = "retry", "Retry now: do not wait for the time at which a scheduled run is due"
    CANCEL = "cancel", "Cancel: for good before the start, on the next progress report while it runs"
    RESCHEDULE = "reschedule", "Reschedule: let a run that has not started be due at another time"


#: The states in which each can be done.
FOUND_IN: dict[Operation, tuple[State, ...]] = {
    Operation.REDRIVE: (State.DEAD, State.CANCELLED),
    Operation.RETRY: (State.SCHEDULED,),
    Operation.CANCEL: ACTIVE,
    Operation.RESCHEDULE: (State.SCHEDULED, State.QUEUED),
}

#: Event -> (the states it may find, the state it leaves). None: the run does not exist yet.
TRANSITIONS: dict[str, tuple[tuple[State | None, ...], State]] = {
    "task.requested": ((None,), State.SCHEDULED),
    # Published again where the queue lost its messages.
    "task.published": ((State.SCHEDULED, State.QUEUED), State.QUEUED),
    # From scheduled when the relay died between sending and recording it.
    "task.started": ((State.SCHEDULED, State.QUEUED), State.RUNNING),
    # The message is used up: the relay sends another when the run may start.
    "task.deferred": ((State.QUEUED,), State.SCHEDULED),
    "task.handed_back": ((State.RUNNING,), State.SCHEDULED),
    "task.succeeded": ((State.RUNNING,), State.SUCCEEDED),
    "task.attempt_failed": ((State.RUNNING,), State.SCHEDULED),
    "task.orphaned": ((State.RUNNING,), State.SCHEDULED),
    # Follows attempt_failed or orphaned in the same transaction; or nobody could even claim the run.
    "task.dead_lettered": ((State.SCHEDULED, State.QUEUED), State.DEAD),
    "task.redriven": ((State.DEAD, State.CANCELLED), State.SCHEDULED),
    "task.rescheduled": ((State.SCHEDULED, State.QUEUED), State.SCHEDULED),
    "task.cancel_requested": ((State.RUNNING,), State.RUNNING),
    "task.cancelled": ((State.SCHEDULED, State.QUEUED, State.RUNNING), State.CANCELLED),
}

for _event in (
    EventType(
        name="task.requested",
        meaning="The run was requested; it exists once the requesting transaction commits.",
        fields=frozenset(
            {
                "task",
                "queue",
                "args",
                "kwargs",
                "due_at",
                "max_attempts",
                "priority",
                "group_key",
                "unique_key",
                "unique_while_active",
                "seq",
                "args_version",
                "backoff",
                "expires_at",
                "order_key",
                "concurrency_key",
                "concurrency_limit",
                "rate_key",
                "rate_limit",
                "rate_period",
                "rate_cost",
                "batch_id",
                "batch_index",
                "continuation",
            }
        ),
        version=2,
    ),
    EventType(
        name="task.published",
        meaning="A message with the run's id was sent to SQS.",
        fields=frozenset({"queue", "message_id", "reason"}),
    ),
    EventType(
        name="task.started",
        meaning="A worker claimed the run. repeatable: whether another attempt may follow if it dies.",
        fields=frozenset({"attempt", "fence", "worker", "repeatable"}),
        version=2,
    ),
    EventType(
        name="task.deferred",
        meaning="A worker had a message for the run, but a key of the run held it back.",
        fields=frozenset({"reason", "due_at"}),
    ),
    EventType(
        name="task.handed_back",
        meaning="The worker gave the run back unfinished; the attempt does not count.",
        fields=frozenset({"attempt", "worker", "reason", "due_at"}),
    ),
    EventType(
        name="task.succeeded",
        meaning="The handler finished; its writes to the database were committed with this event.",
        fields=frozenset({"attempt", "result"}),
    ),
    EventType(
        name="task.attempt_failed",
        meaning="The handler raised. retry_at says when the next attempt is due; null: there is none.",
        fields=frozenset({"attempt", "error", "retry_at"}),
    ),
    EventType(
        name="task.orphaned",
        meaning="The worker's lease ran out. retry_at: when the next attempt is due; null: there is none.",
        fields=frozenset({"attempt", "worker", "error", "retry_at"}),
    ),
    EventType(
        name="task.dead_lettered",
        meaning="The run was given up. needs_review, where true: because it must not be repeated unseen.",
        fields=frozenset({"reason"}),
    ),
    EventType(
        name="task.redriven",
        meaning="Somebody sent an ended run on its way again, with fresh attempts.",
        fields=frozenset({"due_at"}),
    ),
    EventType(
        name="task.rescheduled",
        meaning="Somebody let the run be due at another time.",
        fields=frozenset({"due_at"}),
    ),
    EventType(
        name="task.cancel_requested",
        meaning="Somebody asked to cancel the run while it was running.",
    ),
    EventType(
        name="task.cancelled",
        meaning="The run ended on request, or because it was not started before it expired.",
        fields=frozenset({"reason"}),
        version=2,
    ),
):
    register(_event)


@upcast("task.requested", from_version=1)
def _requests_without_keys(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew no keys but the unique one, which was taken while its run was active."""
    return {
        **data,
        "unique_while_active": data["unique_key"] is not None,
        "seq": 0,
        "args_version": 1,
        "backoff": None,
        "expires_at": None,
        "order_key": "",
        "concurrency_key": "",
        "concurrency_limit": 0,
        "rate_key": "",
        "rate_limit": 0,
        "rate_period": 0,
        "rate_cost": 0,
        "batch_id": None,
        "batch_index": None,
        "continuation": None,
    }


@upcast("task.started", from_version=1)
def _repeatable(data: dict[str, Any]) -> dict[str, Any]:
    """In version 1 every run could be repeated."""
    return {**data, "repeatable": True}


@upcast("task.cancelled", from_version=1)
def _cancelled_on_request(data: dict[str, Any]) -> dict[str, Any]:
    """In version 1 a run was cancelled on request only."""
    return {**data, "reason": "request"}
