"""The runs that a worker holds."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import connection

from apps.core.resources import sql


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One run in a worker's hands."""

    run_id: uuid.UUID
    #: The token of the claim.
    fence: int
    cancel_requested: bool
    #: Whether another attempt may follow if this one is cut off.
    repeatable: bool = True


def holdings(worker: str) -> list[Holding]:
    """The runs that *worker* has claimed and not ended."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "holdings.sql"), {"worker": worker})
        return [
            Holding(
                run_id=uuid.UUID(str(id_)),
                fence=fence,
                cancel_requested=cancel_requested,
                repeatable=repeatable,
            )
            for id_, fence, cancel_requested, repeatable in cursor.fetchall()
        ]
