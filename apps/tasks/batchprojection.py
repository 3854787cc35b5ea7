"""What a batch's row must be, according to its events."""

from __future__ import annotations

import uuid

from apps.events.projections import Row
from apps.events.records import StoredEvent
from apps.tasks.batchstates import BATCH_TRANSITIONS, BatchState
from apps.tasks.projection import ImpossibleTransition


class Batches:
    """Folds the streams ``batch:<id>`` into the table of batches."""

    name = "batches"
    stream_prefix = "batch:"
    table = "tasks_batch"
    key = "id"
    columns = (
        "id", "description", "state", "version", "total", "completes_when", "callback", "members", "counts",
        "reason", "created_at", "completed_at", "meta",
    )  # fmt: skip
    json_columns = frozenset({"callback", "members", "counts", "meta"})

    def defaults(self) -> Row:
        """Every column follows from events."""
        return {}

    def finished(self) -> str:
        """A batch is done with once it is completed: one that is incomplete waits for redrives."""
        return f"CASE WHEN state = '{BatchState.COMPLETED}' THEN completed_at END"

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        """The row after *event*; raises `ImpossibleTransition` where that cannot follow."""
        data = event.current_data()
        before, after = BATCH_TRANSITIONS[event.type]
        state = BatchState(row["state"]) if row is not None else None
        if state not in before or event.version != (row["version"] + 1 if row is not None else 1):
            raise ImpossibleTransition(
                f"{event.stream}: {event.type} at {event.version} cannot follow {state}"
            )
        if row is None:
            taken_over = ("description", "total", "completes_when", "callback", "members")
            row = {
                **{name: data[name] for name in taken_over},
                "id": uuid.UUID(event.stream.removeprefix(self.stream_prefix)),
                "created_at": event.recorded_at,
                "completed_at": None,
                "counts": None,
                "reason": "",
                "meta": event.meta,
            }
        elif event.type == "batch.incomplete":
            row = {**row, "reason": data["reason"]}
        else:
            row = {**row, "completed_at": event.recorded_at, "counts": data["counts"], "reason": ""}
        return {**row, "state": after.value, "version": event.version}
