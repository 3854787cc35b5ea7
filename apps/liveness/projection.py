"""What a session's row must be, according to its events."""

from __future__ import annotations

import uuid
from datetime import datetime

from apps.events.projections import Row
from apps.events.records import StoredEvent
from apps.liveness.states import TRANSITIONS, SessionState


class ImpossibleTransition(Exception):
    """The events of a stream do not follow from each other."""


class WorkerSessions:
    """Folds the streams ``worker:<id>`` into the table of sessions."""

    name = "worker_sessions"
    stream_prefix = "worker:"
    table = "liveness_workersession"
    key = "id"
    columns = (
        "id", "user_id", "token", "worker", "state", "version", "reason", "started_at", "ended_at",
    )  # fmt: skip
    json_columns: frozenset[str] = frozenset()

    def defaults(self) -> Row:
        """A rebuilt row was last heard of long ago: without a mark, it is an orphan."""
        return {
            "last_seen_at": datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
            "alert_due": False,
        }

    def finished(self) -> str:
        """An ended session is done with when nobody is left to be told of its end."""
        return "CASE WHEN state <> 'active' AND NOT alert_due THEN ended_at END"

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        """The row after *event*; raises `ImpossibleTransition` where that cannot follow."""
        data = event.current_data()
        before, after = TRANSITIONS[event.type]
        state = SessionState(row["state"]) if row is not None else None
        if state is not before or event.version != (row["version"] + 1 if row is not None else 1):
            raise ImpossibleTransition(
                f"{event.stream}: {event.type} at {event.version} cannot follow {state}"
            )
        if row is None:
            row = {
                "id": uuid.UUID(event.stream.removeprefix(self.stream_prefix)),
                "user_id": data["user_id"],
                "token": data["token"],
                "worker": data["worker"],
                "reason": "",
                "started_at": event.recorded_at,
                "ended_at": None,
            }
        else:
            row = {**row, "reason": data["reason"], "ended_at": event.recorded_at}
        return {**row, "state": after.value, "version": event.version}
