"""The rows of a file that were not taken, in a file beside it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from apps.candles.atomic import part_of
from apps.candles.files.batches import Batch
from apps.candles.quality import Rejected

_HEADER = ("line", "reason", "message", "raw")


# Halves of characters that stand for no byte of a file.
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class RejectsFile:
    """``minutes.csv.rejects.csv`` beside ``minutes.csv``: for each rejected row a line with its line (with
    the entry before it, in an archive), reason, message, and then all that the file holds in that line.

    Used as a context manager, it replaces the one of an earlier run in one step at the end, also when
    the run fails. A run that ends well without rejected rows leaves none.
    """

    def __init__(self, source: Path | str) -> None:
        source = Path(source)
        self.path = source.with_name(f"{source.name}.rejects.csv")
        #: How many rows were written.
        self.count = 0
        self._part = part_of(self.path)
        self._file: TextIO | None = None

    def __enter__(self) -> RejectsFile:
        return self

    def write(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        """Add rows that the gate rejected of this batch. They are in the file when this returns."""
        if not rejected:
            return
        if self._file is None:
            self._file = self._part.open("x", encoding="utf-8", errors="surrogateescape", newline="")
            csv.writer(self._file).writerow(_HEADER)
        csv.writer(self._file).writerows(
            map(_writable, (batch.place(one.place), one.reason.value, one.message, *batch.raw[one.place]))
            for one in rejected
        )
        self._file.flush()
        self.count += len(rejected)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._part.replace(self.path)
        elif kind is None:
            self.path.unlink(missing_ok=True)


def _writable(value: Any) -> Any:
    """A value as this file can hold it: bytes that were no text are written as they were."""
    return _HALVES.sub("\ufffd", value) if isinstance(value, str) else value
