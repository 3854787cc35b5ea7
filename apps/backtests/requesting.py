"""Asking for a backtest: run it, or find that its result is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.backtests import asking, fetching, identity
from apps.backtests.lacking import Lack, MissingCandles, check_not_empty, find_lacks
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.storing import result_held
from apps.core.ids import uuid7


class KeyReused(Exception):
    """The idempotency key came with another body before."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An idempotency key, and the hash of the body that came with it."""

    text: str
    body_hash: str


def backtest_request(
    *,
    owner_id: int,
    instruments: Sequence[str],
    timeframe: str,
    start: datetime,
    end: datetime,
    spec: Mapping[str, Any],
    missing: str = Backtest.Missing.REFUSE,
    title: str = "",
    labels: Sequence[str] = (),
    key: Key | None = None,
) -> Backtest:
    """Ask for a backtest of *spec* over the bars that open in [start, end) and have ended.

    Where a result of the same specification, range, engine and stored candles is there, the backtest has it
    at once and is ``reused``. With a *key* that the owner has used before, and the same body, the backtest of
    then is returned; a key is kept as long as its backtest.

    Raises `InvalidBacktest` naming the field, `MissingCandles` where minutes are missing and *missing* is
    ``refuse``, `TooManyFetches` where it is ``fetch`` and the owner has enough being fetched, and `KeyReused`
    for a key that came with another body. Nothing is queued then.
    """
    if key is not None and (earlier := _earlier(owner_id, key)) is not None:
        return earlier
    asked = asking.question(instruments=instruments, timeframe=timeframe, start=start, end=end, spec=spec)
    lacks: list[Lack] = []
    if missing == Backtest.Missing.IGNORE:
        check_not_empty(asked)
    else:
        lacks = find_lacks(asked)
    fetch = any(lack.ranges for lack in lacks)
    if fetch and missing == Backtest.Missing.REFUSE:
        raise MissingCandles(lacks)
    first, last = asking.moments(asked)
    backtest = Backtest(
        owner_id=owner_id,
        title=title,
        labels=list(labels),
        instruments=asked.names,
        timeframe=timeframe,
        start=first,
        end=last,
        strategy=asked.strategy,
        spec=asked.spec.as_dict(),
        definition=json.dumps(asked.spec.definition.document),
        spec_hash=asked.spec.spec_hash,
        request_hash=identity.request_hash(
            spec_hash=asked.spec.spec_hash,
            instruments=asked.names,
            timeframe=timeframe,
            start=asked.start,
            end=asked.end,
        ),
        missing=missing,
        idempotency_key=key.text if key else None,
        body_hash=key.body_hash if key else "",
    )
    if not fetch:
        backtest.data_version = identity.data_version(asked.instruments, asked.start, asked.end)
    try:
        with transaction.atomic():
            if fetch:
                ordered = fetching.backfills_order(lacks=lacks, owner_id=owner_id)
                backtest.backfills = [str(pk) for pk in ordered]
                _request_after_fetch(backtest)
            elif not _reuse(backtest):
                _request(backtest)
            backtest.save(force_insert=True)
    except IntegrityError:
        # Of two who came with one key at once, the second waits for the first and then finds it.
        earlier = _earlier(owner_id, key) if key is not None else None
        if earlier is None:
            raise
        return earlier
    return backtest


def _earlier(owner_id: int, key: Key) -> Backtest | None:
    """The backtest that this key brought before. Raises `KeyReused`."""
    found = Backtest.objects.filter(owner_id=owner_id, idempotency_key=key.text).first()
    if found is not None and found.body_hash != key.body_hash:
        raise KeyReused(f"The key {key.text!r} came with another body before: backtest {found.pk}.")
    if found is not None:
        found.was_there = True
    return found


def _reuse(backtest: Backtest) -> bool:
    """Give the backtest the result of an earlier one that was the same, if there is one."""
    same = Backtest.objects.filter(
        request_hash=backtest.request_hash, data_version=backtest.data_version, result__isnull=False
    )
    known = same.order_by("id").values_list("result_id", flat=True).first()
    if known is None:
        return False
    # Locked, so that it does not go with the backtest that has it now.
    backtest.reused = result_held(known)
    if backtest.reused:
        backtest.result = BacktestResult.objects.get(pk=known)
    return backtest.reused


def _request(backtest: Backtest) -> None:
    from apps.backtests.tasks import run_backtest

    requested = run_backtest.apply_async(
        kwargs={"backtest_id": str(backtest.pk)}, group_key=f"user-{backtest.owner_id}"
    )
    backtest.task_run = UUID(requested.id)


def _request_after_fetch(backtest: Backtest) -> None:
    """Request the run that waits, and the run that computes as what follows its success."""
    from apps.backtests.tasks import await_candles, run_backtest

    backtest.task_run = uuid7()
    group = f"user-{backtest.owner_id}"
    computing = run_backtest.si(backtest_id=str(backtest.pk))
    options: dict[str, Any] = {"task_id": str(backtest.task_run), "group_key": group}
    computing.set(**options)
    requested = await_candles.apply_async(
        kwargs={"backtest_id": str(backtest.pk)}, group_key=group, link=computing
    )
    backtest.fetch_run = UUID(requested.id)
