"""The states of a run, the events that move it, and which moves exist."""

from __future__ import annotations

from django.db import models

from apps.events.registry import EventType, register


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

#: Event -> (the states it may find, the state it leaves). None: the run does not exist yet.
TRANSITIONS: dict[str, tuple[tuple[State | None, ...], State]] = {
    "task.requested": ((None,), State.SCHEDULED),
    # Published again where the queue lost its messages.
    "task.published": ((State.SCHEDULED, State.QUEUED), State.QUEUED),
    # From scheduled when the relay died between sending and recording it.
    "task.started": ((State.SCHEDULED, State.QUEUED), State.RUNNING),
    "task.succeeded": ((State.RUNNING,), State.SUCCEEDED),
    "task.attempt_failed": ((State.RUNNING,), State.SCHEDULED),
    "task.orphaned": ((State.RUNNING,), State.SCHEDULED),
    # Follows attempt_failed or orphaned in the same transaction.
    "task.dead_lettered": ((State.SCHEDULED,), State.DEAD),
    "task.redriven": ((State.DEAD, State.CANCELLED), State.SCHEDULED),
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
            }
        ),
    ),
    EventType(
        name="task.published",
        meaning="A message with the run's id was sent to SQS.",
        fields=frozenset({"queue", "message_id", "reason"}),
    ),
    EventType(
        name="task.started",
        meaning="A worker claimed the run.",
        fields=frozenset({"attempt", "fence", "worker"}),
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
        meaning="The run was given up.",
        fields=frozenset({"reason"}),
    ),
    EventType(
        name="task.redriven",
        meaning="Somebody sent an ended run on its way again, with fresh attempts.",
        fields=frozenset({"due_at"}),
    ),
    EventType(
        name="task.cancel_requested",
        meaning="Somebody asked to cancel the run while it was running.",
    ),
    EventType(name="task.cancelled", meaning="The run ended on request."),
):
    register(_event)
