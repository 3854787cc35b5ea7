"""The runs that a worker holds, as its main process sees and ends them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from django.db import connection

from apps.core import context
from apps.core.resources import sql


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One run in a worker's hands."""

    run_id: uuid.UUID
    #: The token of the claim.
    fence: int
    cancel_requested: bool


def holdings(worker: str) -> list[Holding]:
    """The runs that *worker* has claimed and not ended."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "holdings.sql"), {"worker": worker})
        return [
            Holding(run_id=uuid.UUID(str(id_)), fence=fence, cancel_requested=cancel_requested)
            for id_, fence, cancel_requested in cursor.fetchall()
        ]


def revoke(holding: Holding) -> bool:
    """End a run whose handler was killed on request. False: it had ended by itself, or is another's."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "cancelled.sql"),
            {
                "id": holding.run_id,
                "fence": holding.fence,
                "meta": json.dumps(context.current().as_meta()),
            },
        )
        return cursor.fetchone() is not None
