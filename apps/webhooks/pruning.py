"""Deleting what is not needed any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection

from apps.core.resources import sql
from apps.webhooks import conf

#: Rows that are deleted in one transaction.
_BATCH = 5000


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """How many rows were deleted."""

    receipts: int
    deliveries: int


def prune() -> Pruned:
    """Delete the receipts and deliveries whose time is over, some thousands at a time."""
    kept = conf.log_kept()
    return Pruned(
        receipts=_delete("prune_receipts.sql", conf.receipts_kept()),
        deliveries=0 if kept is None else _delete("prune_deliveries.sql", kept),
    )


def _delete(name: str, older: timedelta) -> int:
    total = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, name), {"older": older, "limit": _BATCH})
            total += cursor.rowcount
            if cursor.rowcount < _BATCH:
                return total
