"""What the quality gate rejected: kept with its reason, to be looked at, readmitted or discarded."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from apps.candles.models import Instrument, QuarantinedCandle
from apps.candles.quality import Rejected, sift_minutes
from apps.candles.storage import locks
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import to_datetime, to_ms
from apps.core.ids import uuid7
from apps.core.resources import sql

#: Of a value more than this is not kept: it is no number anyway.
_LONGEST_TEXT = 100
_LONGEST_ROW = 12
#: Open times beyond this are not moments that a database keeps (ms): year 10,000.
_LAST_TS = 253_402_300_800_000


class NotHeld(ValueError):
    """Somebody has decided about this candle already."""


class NotSound(ValueError):
    """The candle still breaks a rule, so it cannot be stored. Says which."""


def quarantine(
    *, instrument: Instrument, rejected: Iterable[Rejected], origin: str, run: uuid.UUID | None = None
) -> int:
    """Keep rejected rows of an instrument. Returns how many there were.

    A row that is there already, refused for the same reason, is counted once more. In the caller's
    transaction, if there is one.
    """
    counts: Counter[tuple[str, str]] = Counter()
    met: dict[tuple[str, str], Rejected] = {}
    for one in rejected:
        key = hashlib.sha256(json.dumps(_row(one.row)).encode()).hexdigest(), one.reason.value
        counts[key] += 1
        met.setdefault(key, one)
    if not met:
        return 0
    # In one order, so that two who meet the same rows wait for each other and not in a circle.
    first = dict(sorted(met.items()))
    parameters: dict[str, Any] = {
        "ids": [uuid7() for _ in first],
        "instrument_id": instrument.pk,
        "ts": [_moment(one.ts) for one in first.values()],
        "rows": [json.dumps(_row(one.row)) for one in first.values()],
        "reasons": [reason for _, reason in first],
        "messages": [one.message for one in first.values()],
        "digests": [digest for digest, _ in first],
        "seen": [counts[key] for key in first],
        "origin": origin[:255],
        "run": run,
        "now": timezone.now(),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "quarantine.sql"), parameters)
    return counts.total()


@transaction.atomic
def quarantined_readmit(
    *, candle: QuarantinedCandle, actor: str, row: Sequence[Any] | None = None
) -> QuarantinedCandle:
    """Store a quarantined candle after all: as it came, or with the values of *row* in its place.

    A row holds open time (ms), open, high, low, close and volume. What is stored of that minute is
    replaced; the quarantined row stays as it came. Raises `NotHeld` when it was readmitted before,
    `NotSound` when the gate still rejects it, and what `write_candles` raises; nothing is changed then.
    """
    # As ingestion does it: the instrument first, then what it has in quarantine.
    locks.lock_instruments([candle.instrument_id])
    held = QuarantinedCandle.objects.select_for_update(of=("self",)).select_related("instrument")
    candle = held.get(pk=candle.pk)
    if candle.state == QuarantinedCandle.State.READMITTED:
        raise NotHeld("this candle was readmitted already")
    instrument = candle.instrument
    sifted = sift_minutes(
        [tuple(candle.row if row is None else row)],
        start_ms=None,
        end_ms=None,
        now_ms=to_ms(timezone.now()),
        price_scale=instrument.price_scale,
        volume_scale=instrument.volume_scale,
    )
    if sifted.rejected:
        raise NotSound(sifted.rejected[0].message)
    write_candles(instrument=instrument, minutes=sifted.minutes)
    return _decided(candle, QuarantinedCandle.State.READMITTED, actor)


@transaction.atomic
def quarantined_discard(*, candle: QuarantinedCandle, actor: str) -> QuarantinedCandle:
    """Say that a quarantined candle is worth nothing. Raises `NotHeld` unless it is held."""
    candle = QuarantinedCandle.objects.select_for_update().get(pk=candle.pk)
    if candle.state != QuarantinedCandle.State.HELD:
        raise NotHeld(f"this candle is {candle.state} already")
    return _decided(candle, QuarantinedCandle.State.DISCARDED, actor)


def _decided(candle: QuarantinedCandle, state: str, actor: str) -> QuarantinedCandle:
    candle.state, candle.decided_by, candle.decided_at = state, actor, timezone.now()
    candle.save(update_fields=["state", "decided_by", "decided_at"])
    return candle


def _moment(ts: int | None) -> datetime | None:
    return to_datetime(ts) if ts is not None and 0 <= ts < _LAST_TS else None


def _row(row: Sequence[Any]) -> list[int | str]:
    """A row as JSON can hold it: numbers as their text, so that nothing of them is lost."""
    return [
        value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        else _text(value)
        for value in row[:_LONGEST_ROW]
    ]  # fmt: skip


def _text(value: Any) -> str:
    """The start of a value's text, without what a database does not keep: zeros and halves of characters."""
    text = str(value)[:_LONGEST_TEXT].replace("\0", "")
    return text.encode("utf-8", "replace").decode()
