"""What keeps a store in shape while time goes by, as the settings want it.

Portable: partitions made ahead of time, and dropped once they are older than what is kept. TimescaleDB: its
own policies do that, compress what is old, and refresh continuous aggregates after changes nobody logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils import timezone

from apps.candles import conf
from apps.candles.models import Instrument
from apps.candles.storage import schema, stores
from apps.candles.storage.aggregates import BUCKETS_PER_BATCH, LIVE
from apps.candles.storage.partitions import drop_partitions, ensure_partitions
from apps.candles.storage.rollups import refresh_rollups
from apps.candles.storage.stores import Base, Rollups, Store
from apps.candles.timeframes import M1, ROLLUPS, W1, Timeframe, to_ms
from apps.core.resources import sql

#: Partitions for so many months from this one on are there before they are needed.
AHEAD = 3
#: Chunks are small enough that the one that is written fits into memory, by how many instruments fill it.
_CHUNK_DAYS = ((50, 30), (500, 7))
_SMALLEST_CHUNK_DAYS = 1
#: Chunks smaller than this are put together when they are compressed.
_COMPRESSED_CHUNK_DAYS = 7
#: How often TimescaleDB looks for changes that were not logged here.
_REFRESH_EVERY = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One of TimescaleDB's policies on one relation."""

    #: ``policy_compression``, ``policy_refresh_continuous_aggregate`` or ``policy_retention``.
    procedure: str
    relation: str
    compress_after: timedelta | None = None
    drop_after: timedelta | None = None
    start_offset: timedelta | None = None
    end_offset: timedelta | None = None
    buckets_per_batch: int | None = None

    @property
    def words(self) -> str:
        """What it is set to do."""
        if self.compress_after is not None:
            return f"compresses what is older than {_days(self.compress_after)}"
        if self.drop_after is not None:
            return f"drops what is older than {_days(self.drop_after)}"
        since, batch = _days(self.start_offset), self.buckets_per_batch
        return f"refreshes from {since} to {self.end_offset} ago, {batch} buckets at a time"


def _days(span: timedelta | None) -> str:
    return "ever" if span is None else f"{span / timedelta(days=1):g} days"


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """A policy that is there, and how it went."""

    job: Job
    last_status: str | None
    last_success: datetime | None
    next_start: datetime | None
    failures: int


def apply() -> list[str]:
    """Bring the store in line with the settings. Returns what was changed, in words."""
    store = stores.in_force()
    if store.base == Base.PARTITIONS:
        return _apply_partitions()
    with transaction.atomic():
        changes = [*_apply_chunks(store), *_apply_policies(store)]
        kept = conf.retention()
        if kept is not None:
            _renew_old_months(timezone.now() - kept)
    return changes


def _renew_old_months(before: datetime) -> None:
    """Let nobody rely on copies of months of which TimescaleDB's policy may have dropped chunks."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "renew_months.sql"), {"before": before})


def _apply_partitions() -> list[str]:
    month = np.datetime64(timezone.now().strftime("%Y-%m"), "M")
    ahead = np.arange(month, month + AHEAD + 1).astype("datetime64[ms]").astype(np.int64)
    changes = [f"made {name}" for name in ensure_partitions(ahead)]
    kept = conf.retention()
    if kept is not None:
        refresh_rollups()
        changes += [f"dropped {name}" for name in drop_partitions(to_ms(timezone.now() - kept))]
    return changes


def chunk_days(instruments: int) -> int:
    """What a chunk of minutes should span where so many instruments are followed."""
    fitting = (days for many, days in _CHUNK_DAYS if instruments <= many)
    return next(fitting, _SMALLEST_CHUNK_DAYS)


def _apply_chunks(store: Store) -> list[str]:
    """Chunks that are made from now on."""
    chosen = conf.chunk_interval()
    days = chosen.days if chosen else chunk_days(Instrument.objects.filter(followed=True).count())
    changes = []
    with connection.cursor() as cursor:
        levels = (M1, *ROLLUPS) if store.rollups == Rollups.INCREMENTAL else (M1,)
        for level in levels:
            wanted = timedelta(days=days * (1 if level is M1 else schema.ROLLUP_CHUNKS))
            cursor.execute(sql(__package__, "chunk_interval.sql"), [level.table])
            (now,) = cursor.fetchone()
            if now != wanted:
                cursor.execute("SELECT set_chunk_time_interval(%s, %s::interval)", [level.table, str(wanted)])
                changes.append(f"{level.table}: chunks of {wanted.days} days")
        if days < _COMPRESSED_CHUNK_DAYS:
            cursor.execute(
                "ALTER TABLE candle_1m SET (timescaledb.compress_chunk_time_interval = %s)",
                [f"{_COMPRESSED_CHUNK_DAYS} days"],
            )
    return changes


def wanted_jobs(store: Store) -> list[Job]:
    """The policies that the settings ask for on a hypertable."""
    after = conf.compress_after()
    wanted = [Job(procedure="policy_compression", relation="candle_1m", compress_after=after)]
    for level in ROLLUPS:
        # What a refresh of the whole window touches must not be compressed yet.
        settled = max(after, conf.refresh_window()) + timedelta(milliseconds=10 * level.width)
        wanted.append(Job(procedure="policy_compression", relation=level.table, compress_after=settled))
        if store.rollups == Rollups.AGGREGATES and (job := _refresh_job(level)) is not None:
            wanted.append(job)
    kept = conf.retention()
    if kept is not None:
        wanted.append(Job(procedure="policy_retention", relation="candle_1m", drop_after=kept))
    return wanted


def _refresh_job(level: Timeframe) -> Job | None:
    """It looks at two buckets at least, and at nothing that is still live. None where less than that is kept.

    What is logged is refreshed all the same.
    """
    width = timedelta(milliseconds=level.width)
    start = max(conf.refresh_window(), LIVE + 3 * width)
    kept = conf.retention()
    if kept is not None:
        # A roll-up that was refreshed from minutes that are gone would be emptied.
        start = min(start, kept - timedelta(milliseconds=W1.width))
        if start < LIVE + 2 * width:
            return None
    return Job(
        procedure="policy_refresh_continuous_aggregate",
        relation=level.table,
        start_offset=start,
        end_offset=LIVE,
        buckets_per_batch=BUCKETS_PER_BATCH,
    )


def reports() -> list[JobReport]:
    """The policies that are there, on our relations of a hypertable."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "jobs.sql"), [[level.table for level in (M1, *ROLLUPS)]])
        return [
            JobReport(
                job=Job(
                    procedure=procedure,
                    relation=relation,
                    compress_after=compress_after,
                    drop_after=drop_after,
                    start_offset=start_offset,
                    end_offset=end_offset,
                    buckets_per_batch=batch,
                ),
                last_status=status,
                last_success=success,
                next_start=following,
                failures=failures,
            )
            for procedure, relation, compress_after, drop_after, start_offset, end_offset, batch, status,
                success, following, failures in cursor.fetchall()
        ]  # fmt: skip


def _apply_policies(store: Store) -> list[str]:
    wanted, present = wanted_jobs(store), [report.job for report in reports()]
    stale = [job for job in present if job not in wanted]
    # The lowest level first: TimescaleDB runs new policies in this order.
    new = [job for job in wanted if job not in present]
    for job in stale:
        _execute(_REMOVE[job.procedure], [job.relation])
    for job in new:
        _add(job)
    kept = {(job.procedure, job.relation) for job in new}
    gone = [job for job in stale if (job.procedure, job.relation) not in kept]
    return [f"{job.relation}: {job.words}" for job in new] + [
        f"{job.relation}: no longer {job.words}" for job in gone
    ]


_REMOVE = {
    "policy_compression": "CALL remove_columnstore_policy(%s)",
    "policy_refresh_continuous_aggregate": "SELECT remove_continuous_aggregate_policy(%s)",
    "policy_retention": "SELECT remove_retention_policy(%s)",
}


def _add(job: Job) -> None:
    if job.procedure == "policy_compression":
        _execute("CALL add_columnstore_policy(%s, after => %s::interval)", [job.relation, job.compress_after])
    elif job.procedure == "policy_retention":
        _execute("SELECT add_retention_policy(%s, %s::interval)", [job.relation, job.drop_after])
    else:
        _execute(
            sql(__package__, "add_refresh_policy.sql"),
            [job.relation, job.start_offset, job.end_offset, _REFRESH_EVERY, job.buckets_per_batch],
        )


def _execute(statement: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
