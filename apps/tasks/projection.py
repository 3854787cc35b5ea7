"""What a run's row must be, according to its events."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from apps.core.resources import sql
from apps.events.projections import Row
from apps.events.records import StoredEvent
from apps.tasks.states import TRANSITIONS, State

#: What a run's row has straight from the data of its request.
_TAKEN_OVER = (
    "task", "queue", "args", "kwargs", "args_version", "priority", "group_key", "unique_key",
    "unique_while_active", "seq", "backoff", "order_key", "concurrency_key", "concurrency_limit", "rate_key",
    "rate_limit", "rate_period", "rate_cost", "batch_index", "continuation", "max_attempts",
)  # fmt: skip


class ImpossibleTransition(Exception):
    """The events of a stream do not follow from each other."""


def _time(value: str) -> datetime:
    return datetime.fromisoformat(value)


class TaskRuns:
    """Folds the streams ``task:<id>`` into the table of runs."""

    name = "task_runs"
    stream_prefix = "task:"
    table = "tasks_taskrun"
    key = "id"
    columns = (
        "id", "task", "queue", "state", "version", "args", "kwargs", "args_version", "priority", "group_key",
        "unique_key", "unique_while_active", "seq", "backoff", "expires_at", "order_key", "concurrency_key",
        "concurrency_limit", "rate_key", "rate_limit", "rate_period", "rate_cost", "gate", "batch_id",
        "batch_index", "continuation", "attempt", "max_attempts", "fence", "requested_at", "due_at",
        "published_at", "started_at", "finished_at", "worker", "cancel_requested", "result", "error", "meta",
        "repeatable", "needs_review",
    )  # fmt: skip
    json_columns = frozenset({"args", "kwargs", "result", "error", "meta", "backoff", "continuation"})

    def defaults(self) -> Row:
        """A rebuilt row holds no lease: if it says running, it is reconciled as an orphan."""
        return {
            "lease_until": datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
            "dead_letter_due": False,
            "alert_due": False,
        }

    def finished(self) -> str:
        """A run is done with when nobody is left to be told of its end, and its whole batch is over.

        A batch counts its runs until it is completed, and those that ended without success may be redriven
        until then.
        """
        return sql(__package__, "finished.sql")

    def fold(self, row: Row | None, event: StoredEvent) -> Row:
        """The row after *event*; raises `ImpossibleTransition` where that cannot follow."""
        data = event.current_data()
        before, after = TRANSITIONS[event.type]
        state = State(row["state"]) if row is not None else None
        expected_version = row["version"] + 1 if row is not None else 1
        if state not in before or event.version != expected_version:
            raise ImpossibleTransition(
                f"{event.stream}: {event.type} at {event.version} cannot follow {state}"
            )
        row = self._requested(event, data) if row is None else self._next(row, event, data)
        return {**row, "state": after.value, "version": event.version}

    def _requested(self, event: StoredEvent, data: dict[str, Any]) -> Row:
        empty = dict.fromkeys(("published_at", "started_at", "finished_at", "result", "error"))
        keys = ("order_key", "concurrency_key", "rate_key")
        return {
            **empty,
            **{name: data[name] for name in _TAKEN_OVER},
            "gate": next((data[key] for key in keys if data[key]), ""),
            "expires_at": _time(data["expires_at"]) if data["expires_at"] else None,
            "batch_id": uuid.UUID(data["batch_id"]) if data["batch_id"] else None,
            "id": uuid.UUID(event.stream.removeprefix(self.stream_prefix)),
            "attempt": 0,
            "fence": 0,
            "requested_at": event.recorded_at,
            "due_at": _time(data["due_at"]),
            "worker": "",
            "cancel_requested": False,
            "repeatable": True,
            "needs_review": False,
            "meta": event.meta,
        }

    def _next(self, row: Row, event: StoredEvent, data: dict[str, Any]) -> Row:
        changes: Row = {}
        match event.type:
            case "task.published":
                changes = {"published_at": event.recorded_at}
            case "task.started":
                changes = {
                    "started_at": event.recorded_at,
                    "attempt": data["attempt"],
                    "fence": data["fence"],
                    "worker": data["worker"],
                    "repeatable": data["repeatable"],
                }
            case "task.succeeded":
                changes = {"finished_at": event.recorded_at, "result": data["result"], "error": None}
            case "task.attempt_failed" | "task.orphaned":
                changes = {"error": data["error"]}
                if data["retry_at"] is not None:
                    changes["due_at"] = _time(data["retry_at"])
            case "task.deferred":
                changes = {"due_at": _time(data["due_at"])}
            case "task.handed_back":
                changes = {"due_at": _time(data["due_at"]), "attempt": data["attempt"] - 1}
            case "task.dead_lettered":
                changes = {
                    "finished_at": event.recorded_at,
                    "needs_review": data.get("needs_review", False),
                }
                if row["state"] == State.QUEUED:
                    # No attempt has failed: nobody could even claim it.
                    changes["error"] = {"type": "Unclaimed", "message": data["reason"], "trace": ""}
            case "task.redriven":
                changes = {
                    "due_at": _time(data["due_at"]),
                    "attempt": 0,
                    "finished_at": None,
                    "cancel_requested": False,
                    "needs_review": False,
                }
            case "task.rescheduled":
                changes = {"due_at": _time(data["due_at"])}
            case "task.cancel_requested":
                changes = {"cancel_requested": True}
            case "task.cancelled":
                changes = {"finished_at": event.recorded_at}
                if row["state"] != State.RUNNING:
                    changes["cancel_requested"] = True
        return {**row, **changes}
