"""The monthly partitions of ``candle_1m``."""

from __future__ import annotations

import numpy as np
from django.db import OperationalError, connection, transaction
from numpy.typing import NDArray
from psycopg.errors import LockNotAvailable

from apps.candles.storage import locks
from apps.core.resources import sql

#: A check against nonsense, far wider than any exchange's history.
FIRST_MONTH, LAST_MONTH = np.datetime64("1970-01"), np.datetime64("2200-01")

#: How long partitions are waited for that are to be dropped.
_PATIENCE = "2s"


def ensure_partitions(ts: NDArray[np.int64], *, suffix: str = "") -> list[str]:
    """Make the partitions that rows at *ts* (milliseconds) need, if any; returns their names.

    Safe under concurrency: makers queue up for a lock and look again once they have it. Readers and
    writers of other partitions are not held up: a table is made on the side and then attached.

    Raises ValueError for times outside of 1970 to 2199.
    """
    months = check_times(ts)
    parent = f"candle_1m{suffix}"
    wanted = {f"{parent}_{month}".replace("-", "_"): month for month in months}
    if not (missing := _missing(parent, list(wanted))):
        return []
    return _make(parent, {name: wanted[name] for name in missing})


@transaction.atomic
def _make(parent: str, wanted: dict[str, np.datetime64]) -> list[str]:
    locks.lock_partitions()
    missing = _missing(parent, list(wanted))
    with connection.cursor() as cursor:
        for name in missing:
            start, end = wanted[name], wanted[name] + np.timedelta64(1, "M")
            cursor.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)")
            cursor.execute(
                f"ALTER TABLE {parent} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{start}-01 00:00+00') TO ('{end}-01 00:00+00')"
            )
    return missing


def drop_partitions(before: int) -> list[str]:
    """Remove the partitions whose months ended before a moment (ms). Roll-ups stay. Returns their names.

    One with changes that the roll-ups still wait for is left for the next time, and so are all while somebody
    reads for long: whoever came after would have to wait as well.
    """
    try:
        return _drop(before)
    except OperationalError as exc:
        if isinstance(exc.__cause__, LockNotAvailable):
            return []
        raise


@transaction.atomic
def _drop(before: int) -> list[str]:
    last = np.datetime64(before, "ms").astype("datetime64[M]")
    locks.lock_partitions()
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "old_partitions.sql"), [f"candle_1m_{last}".replace("-", "_")])
        names = [name for (name,) in cursor.fetchall()]
        if not names:
            return []
        cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        # The whole first, as readers do it. Whoever still writes is waited for, and then seen.
        cursor.execute("LOCK TABLE ONLY candle_1m IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SELECT DISTINCT to_char(lo AT TIME ZONE 'UTC', 'YYYY_MM') FROM candle_dirty")
        changed = {f"candle_1m_{month}" for (month,) in cursor.fetchall()}
        names = [name for name in names if name not in changed]
        for name in names:
            cursor.execute(f"DROP TABLE {name}")
        cursor.execute(sql(__package__, "dropped_months.sql"), [names])
    return names


def check_times(ts: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """The months that *ts* (milliseconds) lie in. Raises ValueError for times outside of 1970 to 2199."""
    months = np.unique(np.asarray(ts, "datetime64[ms]").astype("datetime64[M]"))
    if len(months) and not (months[0] >= FIRST_MONTH and months[-1] < LAST_MONTH):
        raise ValueError(f"no candles are kept for {months[0]}..{months[-1]}")
    return months


def _missing(parent: str, names: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "partitions.sql"), {"parent": parent, "names": names})
        present = {name for (name,) in cursor.fetchall()}
    return [name for name in names if name not in present]
