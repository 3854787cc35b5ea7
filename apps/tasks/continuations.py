"""What follows the end of a run, in the transaction that records the end.

The next step of a chain and the callbacks of a run are requested together with its success, so exactly
once however often the run was tried. Error callbacks are requested together with its death or
cancellation; the rest of the chain stays with the run, and goes on when it is redriven and succeeds.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import connection

from apps.core import context
from apps.core.resources import sql
from apps.tasks import batches, canvas
from apps.tasks.errors import PermanentError
from apps.tasks.states import State

if TYPE_CHECKING:
    from apps.tasks.claims import Claim


def succeeded(claimed: Claim, result: Any) -> None:
    """Request what follows a success. *result* is as it was recorded.

    Raises `PermanentError` for a step that cannot be requested with it: trying again would not help.
    """
    kept = claimed.continuation or {}
    run_id = str(claimed.run_id)
    family = {"parent_id": run_id, "root_id": kept.get("root_id") or run_id}
    try:
        for callback in kept.get("link", ()):
            canvas.start(callback, [result], **family)
        if chain := kept.get("chain"):
            canvas.start(chain[-1], [result], chain=chain[:-1], **family)
    except TypeError as exc:
        raise PermanentError(f"what was to follow cannot be requested: {exc}") from exc
    if claimed.batch_id is not None:
        batches.check_after_commit(claimed.batch_id)


def unsuccessful(run_ids: Sequence[uuid.UUID]) -> None:
    """Request the error callbacks of those of the runs that are dead or cancelled.

    Chords and batches that wait for their success are marked as incomplete.
    """
    if not run_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "unfinished.sql"), {"ids": list(run_ids)})
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        for name in ("args", "kwargs", "error", "meta", "continuation"):
            row[name] = canvas.from_database(row[name])
        run_id = str(row["id"])
        correlation = row["meta"].get("correlation_id") or run_id
        with context.bind(causation_id=run_id, correlation_id=correlation, request_id=""):
            _unsuccessful(row)


def _unsuccessful(row: dict[str, Any]) -> None:
    kept = row["continuation"] or {}
    error = row["error"]
    if row["state"] == State.CANCELLED or not error:
        error = {"type": "TaskRevokedError", "message": f"the run was {row['state']}", "trace": ""}
    request = {"id": str(row["id"]), **{name: row[name] for name in ("task", "args", "kwargs")}}
    canvas.start_errbacks(kept.get("link_error", ()), request=request, error=error)
    waiting = canvas.chords_of(kept.get("chain", ()))
    if row["batch_id"] is not None:
        waiting.append(str(row["batch_id"]))
        batches.check_after_commit(row["batch_id"])
    reason = f"run {row['id']} is {row['state']}: {error['type']}: {error['message']}"
    for batch_id in waiting:
        batches.incomplete(batch_id=uuid.UUID(batch_id), reason=reason)
