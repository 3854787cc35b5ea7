"""Making events and cursors fit the transaction numbers of the server that they were restored to.

Every event carries the number of its transaction, and numbers mean something on one server only. A dump
takes them along. Where the new server's counter stands lower, events of the dump seem to be of
transactions that are still to come: followers wait for them, and new events sort before the places that
cursors have reached, so they would never be read.

Re-basing gives every event a low number, one for each stretch between two cursors, and puts the cursors
between the stretches. What a follower had read it does not see again, and what it had not it will see.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.core.resources import sql
from apps.events.maintenance import maintenance


class CannotRebase(Exception):
    """A follower has read here before the re-basing, so no order is left that suits all of them."""


@dataclass(frozen=True, kw_only=True)
class Rebased:
    """What was changed."""

    events: int
    followers: int


def needed() -> bool:
    """Whether events or cursors are ahead of the transactions of this server."""
    with connection.cursor() as cursor:
        return _needed(cursor)


def rebase(*, restart: tuple[str, ...] = ()) -> Rebased:
    """Re-base all events and cursors, in one transaction; nothing where that is not needed.

    Writers and followers wait meanwhile. The followers in *restart* begin again at the first event.

    Raises `CannotRebase` when events have been recorded here since the dump was loaded and one follower
    has read among them while others could not: it has to be restarted.
    """
    with maintenance() as cursor:
        cursor.execute("LOCK TABLE events_cursor IN EXCLUSIVE MODE")
        cursor.execute("LOCK TABLE events_event IN SHARE ROW EXCLUSIVE MODE")
        if not _needed(cursor):
            return Rebased(events=0, followers=0)
        cursor.execute(
            "UPDATE events_cursor SET xid = 0, position = 0 WHERE follower = ANY(%s)", [list(restart)]
        )
        cursor.execute(sql(__package__, "rebase_plan.sql"))
        cursor.execute(sql(__package__, "rebase_torn.sql"))
        if torn := [follower for (follower,) in cursor.fetchall()]:
            raise CannotRebase(
                "events were recorded since the dump was loaded, and these followers have read among them:"
                f" {', '.join(torn)}. They have to be restarted."
            )
        cursor.execute(sql(__package__, "rebase_events.sql"))
        events = cursor.rowcount
        cursor.execute(sql(__package__, "rebase_cursors.sql"))
        return Rebased(events=events, followers=cursor.rowcount)


def _needed(cursor: CursorWrapper) -> bool:
    cursor.execute(sql(__package__, "rebase_needed.sql"))
    return bool(cursor.fetchone()[0])
