"""The states of a batch and the events that move it."""

from __future__ import annotations

from django.db import models

from apps.events.registry import EventType, register


class BatchState(models.TextChoices):
    """Where a batch stands."""

    OPEN = "open", "Open: not all of its runs have ended"
    INCOMPLETE = "incomplete", "Incomplete: a run is dead or cancelled, and the callback waits for it"
    COMPLETED = "completed", "Completed: over, and the callback was requested"


class CompletesWhen(models.TextChoices):
    """What the callback waits for."""

    ENDED = "ended", "All runs have ended, whatever happened"
    SUCCEEDED = "succeeded", "All runs have succeeded"


#: Event -> (the states it may find, the state it leaves). None: the batch does not exist yet.
BATCH_TRANSITIONS: dict[str, tuple[tuple[BatchState | None, ...], BatchState]] = {
    "batch.created": ((None,), BatchState.OPEN),
    "batch.incomplete": ((BatchState.OPEN,), BatchState.INCOMPLETE),
    "batch.completed": ((BatchState.OPEN, BatchState.INCOMPLETE), BatchState.COMPLETED),
}

for _event in (
    EventType(
        name="batch.created",
        meaning="Runs were asked for together. members: the runs of a chord, in the order of their results.",
        fields=frozenset({"description", "total", "completes_when", "callback", "members"}),
    ),
    EventType(
        name="batch.incomplete",
        meaning="The callback cannot be requested as things stand; reason says why.",
        fields=frozenset({"reason"}),
    ),
    EventType(
        name="batch.completed",
        meaning="The runs have ended as was waited for; the callback was requested with this event.",
        fields=frozenset({"counts"}),
    ),
):
    register(_event)
