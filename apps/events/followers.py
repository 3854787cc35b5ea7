"""Reading all events in one order that skips none, and remembering how far one has read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection, transaction

from apps.core.resources import sql
from apps.events.models import Cursor
from apps.events.records import StoredEvent
from apps.events.store import from_row


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in the order of all events. The default is before the first."""

    xid: int = 0
    position: int = 0


def read_after(place: Place, *, limit: int = 500) -> list[StoredEvent]:
    """At most *limit* events after *place*, in an order that later events only extend.

    Every committed event is returned by exactly one of a series of calls that each start at the
    last event of the one before. Events of transactions younger than the oldest one still writing
    are held back until that has ended (see `selectors.oldest_writer_age`).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "read_after.sql"),
            {"xid": str(place.xid), "position": place.position, "limit": limit},
        )
        return [from_row(row) for row in cursor.fetchall()]


def follow(name: str, handle: Callable[[list[StoredEvent]], None], *, limit: int = 500) -> int:
    """Give the follower *name* its next batch, and return how many events there were.

    *handle* runs in the transaction that moves the follower's place, so what it writes to this
    database happens once per event. Of several processes with the same name one works at a time.
    """
    with transaction.atomic():
        Cursor.objects.get_or_create(follower=name)
        row = Cursor.objects.select_for_update().get(follower=name)
        batch = read_after(Place(xid=int(row.xid), position=row.position), limit=limit)
        if batch:
            handle(batch)
            row.xid, row.position = batch[-1].xid, batch[-1].position
            row.save()
    return len(batch)


def catch_up(name: str, handle: Callable[[list[StoredEvent]], None], *, limit: int = 500) -> int:
    """Give the follower *name* batch after batch until there is nothing more; how many events there were."""
    total = 0
    while count := follow(name, handle, limit=limit):
        total += count
    return total


def restart(name: str) -> None:
    """Let the follower *name* begin again at the first event; raises `Cursor.DoesNotExist`."""
    if not Cursor.objects.filter(follower=name).update(xid=0, position=0):
        raise Cursor.DoesNotExist(f"there is no follower {name}")
