"""Files into the store: read, judged by the quality gate, and written, a batch at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from apps.candles.files import Batch, RejectsFile, read_minutes
from apps.candles.models import Instrument
from apps.candles.quality import CheckedMinutes, Reason, Rejected, Sifted, open_time, sift_minutes
from apps.candles.quarantine import quarantine
from apps.candles.sources.base import VALUES
from apps.candles.storage.writer import write_candles
from apps.candles.timeframes import MINUTE, to_ms

# Binance's archives: ``BTCUSDT-1m-2024-12.zip``, ``BTCUSDT-1m-2024-12-31.csv``.
_ARCHIVE = re.compile(
    r"(?P<symbol>[A-Z0-9]{4,30})-(?P<width>[0-9]{1,2}[smhdwo]{1,2})-\d{4}-\d{2}(-\d{2})?\.\w+"
)
# Of so many minutes not all are some minutes apart, were there trades in few of them.
_TELLING = 20
_NARROWEST = 5 * MINUTE


class WrongFile(ValueError):
    """A file that seems to hold something else than minutes of the instrument. Nothing of it was stored."""


@dataclass(frozen=True, kw_only=True)
class FileForm:
    """What is said about a file instead of leaving it to be sniffed. See `read_minutes`."""

    format: str | None = None
    columns: Mapping[str, str | int] | None = None
    time_unit: str | None = None
    base: str | None = None


@dataclass(kw_only=True)
class ImportResult:
    """What became of the rows of a file."""

    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    #: Sound rows, where nothing was to be stored.
    sound: int = 0
    #: Rows in the file of rejects and, where something was to be stored, in quarantine; by reason.
    rejected: Counter[Reason] = field(default_factory=Counter)
    #: The file of rejects, if there is one.
    rejects: Path | None = None


#: How much of the file is dealt with, of how much, in ``bytes`` or ``rows``.
OnProgress = Callable[[int, int, str], None]


def import_file(
    *,
    instrument: Instrument,
    path: Path,
    form: FileForm | None = None,
    trust: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> ImportResult:
    """Store the minutes that a file has of *instrument*; those that are not sound are kept apart.

    What is stored of a minute is replaced by what the file has, so doing it again changes nothing, and an
    import that broke off is made up for by the same import. Every batch is a transaction. Roll-ups are left
    to the next refresh. Rejected rows are in the file that `RejectsFile` names, and in quarantine under the
    origin ``import:<file name>``.

    A minute that comes twice: within a batch the gate decides, which keeps neither of two that differ. In
    batches apart the first one stays stored, and the later one is rejected, as a duplicate or a conflict.

    *instrument* may be one that is not saved yet: it is, together with the first batch. With *dry_run*
    nothing is stored; rejects are written to their file. With *trust* neither the file's name nor the
    steps between its times can speak against it.

    Memory holds a batch, and 48 bytes for each sound minute. Raises `WrongFile`, `UnreadableFile`, OSError
    for a file of rejects that cannot be written, and what `write_candles` raises; batches before that stay.
    """
    if not trust:
        _check_name(instrument, path.name)
    result = ImportResult()
    taken: list[CheckedMinutes] = []
    now_ms = to_ms(timezone.now())
    form = form or FileForm()
    batches = read_minutes(
        path, format=form.format, columns=form.columns, time_unit=form.time_unit, base=form.base
    )
    with RejectsFile(path) as rejects:
        for batch in batches:
            sifted = sift_minutes(
                batch.rows,
                start_ms=None,
                end_ms=None,
                now_ms=now_ms,
                price_scale=instrument.price_scale,
                volume_scale=instrument.volume_scale,
            )
            if not taken and not trust:
                _check_steps(path.name, sifted.minutes.ts)
            sifted = _once(batch, sifted, taken)
            rejects.write(batch, sifted.rejected)
            if not dry_run:
                _store(instrument, path.name, sifted, result)
            taken.append(sifted.minutes)
            result.rows += len(batch.rows)
            result.sound += len(sifted.minutes)
            result.rejected.update(one.reason for one in sifted.rejected)
            if on_progress is not None:
                on_progress(batch.done, batch.total, batch.unit)
    result.rejects = rejects.path if rejects.count else None
    return result


def _check_name(instrument: Instrument, name: str) -> None:
    """Raises `WrongFile` when a name as Binance's archives have them is of something else."""
    found = _ARCHIVE.fullmatch(name)
    if found is None:
        return
    expected = instrument.venue_id or f"{instrument.base}{instrument.quote}".upper()
    if found["symbol"] != expected:
        raise WrongFile(f"{name}: by its name it is of {found['symbol']}, and {instrument} is {expected}")
    if found["width"] != "1m":
        raise WrongFile(f"{name}: by its name it holds bars of {found['width']}, not of 1m")


def _check_steps(name: str, ts: NDArray[np.int64]) -> None:
    """Raises `WrongFile` when times are so far apart that these must be bars of more than a minute."""
    if len(ts) < _TELLING:
        return
    step = int(np.gcd.reduce(np.diff(ts)))
    if step >= _NARROWEST:
        raise WrongFile(
            f"{name}: its times are {step // MINUTE} minutes apart or multiples of that: no minutes"
        )


def _store(instrument: Instrument, name: str, sifted: Sifted, result: ImportResult) -> None:
    new, scales = instrument._state.adding, (instrument.price_scale, instrument.volume_scale)
    try:
        with transaction.atomic():
            if new:
                instrument.save(force_insert=True)
            written = write_candles(instrument=instrument, minutes=sifted.minutes, refresh=False)
            quarantine(
                instrument=instrument,
                rejected=[replace(one, row=tuple(map(_text, one.row))) for one in sifted.rejected],
                origin=f"import:{_text(name)}",
            )
    except BaseException:
        # Finer ones were taken back with the rest, and would be given to the next file.
        instrument.price_scale, instrument.volume_scale = scales
        # It is not there: the next file has to bring it.
        if new:
            instrument.id, instrument._state.adding = None, True
        raise
    result.inserted += written.inserted
    result.updated += written.updated
    result.unchanged += written.unchanged


def _text(value: Any) -> Any:
    """Text that a database takes: what was no UTF-8 in the file is the mark for that."""
    return (
        value.encode(errors="surrogateescape").decode(errors="replace") if isinstance(value, str) else value
    )


def _once(batch: Batch, sifted: Sifted, taken: list[CheckedMinutes]) -> Sifted:
    """*sifted* with the minutes that batches before this had already among the rejected ones."""
    again: dict[int, bool] = {}
    for earlier in taken:
        again |= _repeated(sifted.minutes, earlier)
    if not again:
        return sifted
    bad = {one.place for one in sifted.rejected}
    late = []
    for place, row in enumerate(batch.rows):
        ts = open_time(row)
        if ts not in again or place in bad:
            continue
        same = again[ts]
        how = "the same values" if same else "other values, which are kept"
        late.append(
            Rejected(
                place=place,
                ts=ts,
                row=tuple(row),
                reason=Reason.DUPLICATE if same else Reason.CONFLICT,
                message=f"came earlier in the file, with {how}",
            )
        )
    kept = ~np.isin(sifted.minutes.ts, list(again))
    return Sifted(
        minutes=replace(
            sifted.minutes, **{name: getattr(sifted.minutes, name)[kept] for name in ("ts", *VALUES)}
        ),
        rejected=sorted([*sifted.rejected, *late], key=lambda one: one.place),
    )


def _repeated(minutes: CheckedMinutes, earlier: CheckedMinutes) -> dict[int, bool]:
    """The minutes (ms) that both have, and of each whether its values are the same."""
    if (
        not len(minutes)
        or not len(earlier)
        or minutes.ts[0] > earlier.ts[-1]
        or minutes.ts[-1] < earlier.ts[0]
    ):
        return {}
    both, here, there = np.intersect1d(minutes.ts, earlier.ts, assume_unique=True, return_indices=True)
    pairs = zip(_exact(minutes, here), _exact(earlier, there), strict=True)
    return dict(zip(both.tolist(), (one == other for one, other in pairs), strict=True))


def _exact(minutes: CheckedMinutes, places: NDArray[np.intp]) -> list[tuple[int, ...]]:
    """The values of these minutes, all with as many decimals as there can be."""
    price, volume = 10 ** (18 - minutes.price_scale), 10 ** (18 - minutes.volume_scale)
    columns = [
        [value * (volume if name == "volume" else price) for value in getattr(minutes, name)[places].tolist()]
        for name in VALUES
    ]
    return list(zip(*columns, strict=True))
