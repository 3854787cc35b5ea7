"""Versions of what is stored: by them copies are known to be right, or not.

The version of an instrument's minutes in one month is the exclusive or of the tokens of all changes there.
Changes only add rows, so nobody waits for anybody, and a change that is committed late still gives another
version.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from django.db import connection, connections

from apps.candles.timeframes import to_datetime
from apps.core.resources import sql


def versions(ids: Iterable[int], start: int, end: int, using: str = "default") -> dict[tuple[int, date], int]:
    """The versions of the months that [start, end) milliseconds touches, by instrument and month's first day.

    A month of which nothing was ever stored has none.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            sql(__package__, "versions.sql"),
            {"ids": list(ids), "first": to_datetime(start).date().replace(day=1), "last": to_datetime(end)},
        )
        return {(pk, month): token for pk, month, token in cursor.fetchall()}


def merge_revisions() -> None:
    """Make one row of the rows of each month. Versions stay as they are, and nobody is waited for."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "merge_revisions.sql"))
