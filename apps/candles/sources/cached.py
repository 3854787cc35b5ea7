"""A copy of a database's candles on the local disk, for workers that read the same months again and again."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from apps.candles.sources.base import VALUES, Candles, Span, check_request
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import Timeframe, to_datetime

logger = logging.getLogger(__name__)

#: Bars wider than an hour are few, and some reach from one month into the next: they are not worth a file.
_WIDEST = 3_600_000

#: Seconds after which nobody is still writing a file.
_WRITING = 3_600

#: A month's bars as six rows of 8 bytes a value: ``ts`` as int64, then the values' float64 bit patterns.
Block = NDArray[np.int64]


class CachedSource:
    """Reads months through files under *root*, mapped into memory, which are made from *source* when absent.

    A file holds the bars of one instrument, timeframe and UTC month at one version of its minutes
    (`apps.candles.storage.revisions`), which is part of its name: whatever changes in the database, what is
    read here is what the source would give. Files of former versions are removed when a newer one is
    written, and so is what a process that was killed has not written to its end; when all files together take
    more than *limit* bytes, those that were not read for longest are.
    Several processes may share a folder. Where files cannot be written, the source is read.
    """

    def __init__(self, source: TimescaleSource, root: Path | str, *, limit: int) -> None:
        self.source = source
        self.root = Path(root)
        self.limit = limit

    def load(self, instrument: str, timeframe: str, start: datetime, end: datetime) -> Candles:
        """See `DataSource.load`."""
        frame, first, last = check_request(timeframe, start, end)
        if frame.width > _WIDEST or first >= last:
            return self.source.load(instrument, timeframe, start, end)
        first, last = frame.ceil(first), frame.ceil(last)
        versions = self.source.versions(instrument, first, last)
        blocks = []
        for month, version in versions.items():
            block = self._block(instrument, frame, month, version)
            blocks.append(block[:, slice(*np.searchsorted(block[0], (first, last)))])
        return _candles(instrument, frame, blocks)

    def available(self, instrument: str) -> dict[str, Span]:
        """See `DataSource.available`."""
        return self.source.available(instrument)

    def _block(self, instrument: str, frame: Timeframe, month: int, version: int) -> Block:
        """The bars that open in the month that begins at *month* (ms), at this version or a later one."""
        name = f"{to_datetime(month):%Y-%m}"
        path = (
            self.root / quote(instrument, safe="") / frame.name / f"{name}-{version & (2**64 - 1):016x}.npy"
        )
        try:
            block: Block = np.load(path, mmap_mode="r", allow_pickle=False)
            os.utime(path)
        except (OSError, ValueError, EOFError):
            block = self._read(instrument, frame, month)
            self._keep(path, f"{name}-*.npy", block)
        return block

    def _read(self, instrument: str, frame: Timeframe, month: int) -> Block:
        start = to_datetime(month)
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        candles = self.source.load(instrument, frame.name, start, end)
        return np.stack([candles.ts, *(getattr(candles, name).view(np.int64) for name in VALUES)])

    def _keep(self, path: Path, former: str, block: Block) -> None:
        """Write a block so that readers see all of it or nothing, and make room."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.save(file, block)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink()
                raise
            _remove(other for other in path.parent.glob(former) if other != path)
            self._make_room()
        except OSError as exc:
            logger.warning("candles are not cached: %s", exc)

    def _make_room(self) -> None:
        """Remove what killed processes left half written and, above the limit, what was not read longest."""
        begun, blocks = _held(self.root, "part"), _held(self.root, "npy")
        abandoned = time.time() - _WRITING
        _remove(path for path, stat in begun if stat.st_mtime < abandoned)
        kept = [*blocks, *(entry for entry in begun if entry[1].st_mtime >= abandoned)]
        excess = sum(stat.st_size for _, stat in kept) - self.limit
        for path, stat in sorted(blocks, key=lambda entry: entry[1].st_mtime):
            if excess <= 0:
                break
            _remove(iter([path]))
            excess -= stat.st_size


def _held(root: Path, ending: str) -> list[tuple[Path, os.stat_result]]:
    """The files with this ending that are there."""
    found = []
    for path in root.glob(f"*/*/*.{ending}"):
        # Another process may have removed or renamed it.
        with suppress(FileNotFoundError):
            found.append((path, path.stat()))
    return found


def _remove(paths: Iterator[Path]) -> None:
    for path in paths:
        # Another process may have removed it; whoever has it mapped keeps what it has.
        path.unlink(missing_ok=True)


def _candles(instrument: str, frame: Timeframe, blocks: Sequence[Block]) -> Candles:
    """Blocks in order of time as candles; one block is not copied."""
    if len(blocks) == 1:
        rows = blocks[0]
    else:
        rows = np.concatenate([np.empty((1 + len(VALUES), 0), np.int64), *blocks], axis=1)
    values = {name: row.view(np.float64) for name, row in zip(VALUES, rows[1:], strict=True)}
    return Candles(source="cache", instrument=instrument, timeframe=frame.name, ts=rows[0], **values)
