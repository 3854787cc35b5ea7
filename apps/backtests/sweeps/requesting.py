"""Asking for a sweep: its chunks become the runs of a batch, and what judges them its callback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.backtests.asking import InvalidBacktest, moments
from apps.backtests.lacking import MissingCandles, check_not_empty, find_lacks
from apps.backtests.models import Backtest
from apps.backtests.requesting import Key, KeyReused
from apps.backtests.sweeps.asking import sweep_question
from apps.backtests.sweeps.columns import pack_params
from apps.backtests.sweeps.models import Sweep, SweepChunk
from apps.core.ids import uuid7
from apps.tasks.batches import batch_request


def sweep_request(
    *,
    owner_id: int,
    instruments: Sequence[str],
    timeframe: str,
    start: datetime,
    end: datetime,
    spec: Mapping[str, Any],
    space: object,
    method: str = Sweep.Method.GRID,
    samples: int | None = None,
    seed: int | None = None,
    metric: str = "sharpe",
    best: int = 10,
    walk_forward: object = None,
    missing: str = Backtest.Missing.REFUSE,
    key: Key | None = None,
) -> Sweep:
    """Ask for a sweep of *spec*, whose ``params`` are the fixed ones, over *space*.

    With a *key* that the owner has used before, and the same body, the sweep of then is returned.

    Raises `InvalidBacktest` naming the field, `MissingCandles` where minutes are missing and *missing* is
    not ``ignore``, and `KeyReused`. Nothing is queued then.
    """
    if key is not None and (earlier := _earlier(owner_id, key)) is not None:
        return earlier
    if method == Sweep.Method.RANDOM and seed is None:
        seed = 0
    if missing == Backtest.Missing.FETCH:
        raise InvalidBacktest("missing", "A sweep fetches nothing: ask for a backfill first, or ignore it.")
    asked = sweep_question(
        instruments=instruments,
        timeframe=timeframe,
        start=start,
        end=end,
        spec=spec,
        space=space,
        method=method,
        samples=samples,
        seed=seed,
        metric=metric,
        best=best,
        walk_forward=walk_forward,
    )
    base, found = asked.base, asked.combinations
    if missing == Backtest.Missing.IGNORE:
        check_not_empty(base)
    else:
        lacks = find_lacks(base)
        if any(lack.ranges for lack in lacks):
            raise MissingCandles(lacks, fetch=False)
    first, last = moments(base)
    sweep = Sweep(
        owner_id=owner_id,
        instruments=base.names,
        timeframe=timeframe,
        start=first,
        end=last,
        strategy=base.strategy,
        spec=base.spec.as_dict(),
        space=space,
        method=method,
        samples=samples,
        seed=seed,
        metric=metric,
        best_count=best,
        walk_forward=walk_forward,
        combinations=len(found),
        refused=found.refused,
        repeated=found.repeated,
        finish_run=uuid7(),
        idempotency_key=key.text if key else None,
        body_hash=key.body_hash if key else "",
    )
    chunks = [
        SweepChunk(
            sweep=sweep,
            number=number,
            first=place,
            count=len(found.kept[place : place + asked.size]),
            task_run=uuid7(),
            params=pack_params(found.kept[place : place + asked.size]),
        )
        for number, place in enumerate(range(0, len(found), asked.size))
    ]
    try:
        with transaction.atomic():
            sweep.batch = _requested(sweep, chunks)
            sweep.save(force_insert=True)
            SweepChunk.objects.bulk_create(chunks)
    except IntegrityError:
        # Of two who came with one key at once, the second waits for the first and then finds it.
        earlier = _earlier(owner_id, key) if key is not None else None
        if earlier is None:
            raise
        return earlier
    return sweep


def _requested(sweep: Sweep, chunks: Sequence[SweepChunk]) -> UUID:
    from apps.backtests.sweeps.tasks import finish_sweep, run_chunk

    options: dict[str, Any] = {"group_key": f"user-{sweep.owner_id}"}
    # Single backtests, which somebody waits for, go before.
    runs = [
        run_chunk.si(chunk_id=str(chunk.pk)).set(task_id=str(chunk.task_run), priority=-1, **options)
        for chunk in chunks
    ]
    finish = finish_sweep.si(sweep_id=str(sweep.pk)).set(task_id=str(sweep.finish_run), **options)
    return batch_request(runs, description=f"sweep {sweep.pk}", callback=finish).pk


def _earlier(owner_id: int, key: Key) -> Sweep | None:
    """The sweep that this key brought before. Raises `KeyReused`."""
    found = Sweep.objects.filter(owner_id=owner_id, idempotency_key=key.text).first()
    if found is not None and found.body_hash != key.body_hash:
        raise KeyReused(f"The key {key.text!r} came with another body before: sweep {found.pk}.")
    if found is not None:
        found.was_there = True
    return found
