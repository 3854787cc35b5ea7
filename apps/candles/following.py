"""How those instruments stand that are followed: for pages that many look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from apps.candles.instruments import instrument_text
from apps.candles.timeframes import M30, MINUTE, to_ms
from apps.core.resources import sql

_STORAGE = "apps.candles.storage"
#: How far back the newest minute is looked for.
_RECENT = timedelta(days=2)
#: The hours that minutes are counted of. The newest may not be rolled up yet.
_HOURS = timedelta(hours=24)
_SETTLED = timedelta(hours=2)
#: Of the line of the last day.
_DAY = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Following:
    """One followed instrument."""

    id: int
    text: str
    exchange: str
    #: When the newest stored minute opened; None: there is none of the last two days.
    newest: datetime | None
    #: Seconds since that minute ended.
    lag: float | None
    #: Minutes that are not stored, in the 24 hours up to two hours ago; before the first one nothing is.
    missing: int


def following() -> list[Following]:
    """All followed instruments that are traded, in one query that reads a few rows of each."""
    now = timezone.now()
    end = now.replace(minute=0, second=0, microsecond=0) - _SETTLED
    with connection.cursor() as cursor:
        cursor.execute(
            sql(_STORAGE, "lately.sql"), {"since": now - _RECENT, "start": end - _HOURS, "end": end}
        )
        rows = cursor.fetchall()
    return [
        Following(
            id=pk,
            text=instrument_text(exchange, symbol),
            exchange=exchange,
            newest=newest,
            lag=None if newest is None else max(0.0, (now - newest).total_seconds() - 60),
            missing=0 if first is None else max(0, (to_ms(end) - to_ms(first)) // MINUTE - n),
        )
        for pk, exchange, symbol, newest, first, n in rows
    ]


def closes(ids: Iterable[int]) -> dict[int, Sequence[int]]:
    """Closes of the last day of these instruments, as far as there are any: integers, half an hour each."""
    with connection.cursor() as cursor:
        query = sql(_STORAGE, "closes.sql").format(table=M30.table)
        cursor.execute(query, {"ids": list(ids), "since": timezone.now() - _DAY})
        return dict(cursor.fetchall())


def stored() -> int:
    """How many minutes are stored, of all instruments: by the counts of their days, so no minute is read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(n), 0)::bigint FROM candle_1d")
        return int(cursor.fetchone()[0])
