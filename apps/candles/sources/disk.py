"""Candles in a folder: one uncompressed ``.npz`` for each instrument and timeframe."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from urllib.parse import quote

import numpy as np

from apps.candles.atomic import replacing
from apps.candles.instruments import parse_instrument
from apps.candles.sources.base import (
    VALUES,
    Candles,
    DataSource,
    Span,
    UnknownInstrument,
    UnknownTimeframe,
    check_request,
)
from apps.candles.timeframes import TIMEFRAMES, to_datetime


class DiskSource:
    """Reads what `export_npz` wrote under *root*."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def load(self, instrument: str, timeframe: str, start: datetime, end: datetime) -> Candles:
        """See `DataSource.load`. A timeframe that was not exported is an `UnknownTimeframe`."""
        frame, first, last = check_request(timeframe, start, end)
        held = self._held(instrument)
        if frame.name not in held:
            raise UnknownTimeframe(timeframe, held)
        with np.load(npz_path(self.root, instrument, frame.name), allow_pickle=False) as file:
            ts = file["ts"]
            window = slice(*np.searchsorted(ts, (first, last)))
            return Candles(
                source="disk",
                instrument=instrument,
                timeframe=frame.name,
                ts=ts[window],
                **{name: file[name][window] for name in VALUES},
            )

    def available(self, instrument: str) -> dict[str, Span]:
        """See `DataSource.available`."""
        spans = {}
        for name in self._held(instrument):
            with np.load(npz_path(self.root, instrument, name), allow_pickle=False) as file:
                ts = file["ts"]
            if len(ts):
                spans[name] = Span(first=to_datetime(int(ts[0])), last=to_datetime(int(ts[-1])))
        return spans

    def _held(self, instrument: str) -> tuple[str, ...]:
        """The timeframes that there are files of. Raises `UnknownInstrument` when there is no folder."""
        try:
            parse_instrument(instrument)
        except ValueError:
            raise UnknownInstrument(instrument) from None
        if not npz_path(self.root, instrument, "1m").parent.is_dir():
            raise UnknownInstrument(instrument)
        return tuple(name for name in TIMEFRAMES if npz_path(self.root, instrument, name).exists())


def npz_path(root: Path, instrument: str, timeframe: str) -> Path:
    """``root/binance%3ABTC%2FUSDT/1m.npz``."""
    return root / quote(instrument, safe="") / f"{timeframe}.npz"


def write_npz(candles: Candles, file: IO[bytes]) -> None:
    """The uncompressed ``.npz`` of these candles: an array for ``ts`` and for each of `VALUES`."""
    np.savez(file, ts=candles.ts, **{value: getattr(candles, value) for value in VALUES})


def export_npz(
    *,
    source: DataSource,
    root: Path | str,
    instrument: str,
    timeframes: Iterable[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Path]:
    """Write an instrument's bars of *source* to files under *root*; returns the files.

    Without *timeframes* all that the source has are written; without *start* or *end* the range is
    open on that side. A file that is there is replaced in one step, so that readers see the old one
    or the new one. Raises what `DataSource.load` raises.
    """
    spans = source.available(instrument)
    written = []
    for name in spans if timeframes is None else timeframes:
        if name not in spans:
            raise UnknownTimeframe(name, tuple(spans))
        candles = source.load(
            instrument, name, start or spans[name].first, end or spans[name].last + timedelta(milliseconds=1)
        )
        path = npz_path(Path(root), instrument, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            write_npz(candles, file)
        written.append(path)
    return written
