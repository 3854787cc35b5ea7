"""What reading a file gives, and what may be said about the file beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from apps.candles.files.errors import UnreadableFile
from apps.candles.quality import Row

#: Rows in a batch, at most.
BATCH_ROWS = 50_000
#: Bytes that a packed file may unpack to.
MAX_UNPACKED = 8 * 2**30
#: Bytes in a line of text.
MAX_LINE = 64 * 2**10
#: Bytes of a group of rows of a Parquet file, unpacked.
MAX_ROW_GROUP = 2**30


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """A piece of a file, in the file's own order: at most `BATCH_ROWS` rows."""

    #: As the quality gate takes them: open time in ms, open, high, low, close, volume. A row of the file
    #: with too few columns is short here too, and a time that cannot be read is text that says why.
    rows: list[Row]
    #: For each row its line in the file, or its number in a file without lines; both count from 1.
    lines: Sequence[int]
    #: For each row all that the file holds in that line; the rows themselves where there are no lines.
    raw: Sequence[Sequence[Any]]
    #: The part of an archive that the lines are counted in, None when the file is none.
    entry: str | None
    #: How far reading is after this batch, of how much, in what.
    done: int
    total: int
    unit: Literal["bytes", "rows"]

    def place(self, index: int) -> str:
        """Where in the file a row of this batch is: ``17``, or ``BTCUSDT-1m-2024-12.csv:17``."""
        return f"{self.lines[index]}" if self.entry is None else f"{self.entry}:{self.lines[index]}"


class Progress(NamedTuple):
    """How far a reader is: a function of now, and the total."""

    done: Callable[[], int]
    total: int


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller says about a file instead of leaving it to be sniffed. See `read_minutes`."""

    columns: Mapping[str, str | int] | None = None
    time_unit: str | None = None
    base: str | None = None


class OneInstrument:
    """Sees to it that a file is of one instrument, where it says of which."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: Any = None

    def check(self, labels: Sequence[Any], lines: Sequence[int]) -> None:
        """Raises `UnreadableFile` when these rows and those before are not all of the same."""
        if self._seen is None and labels:
            self._seen = labels[0]
        if labels and set(labels) != {self._seen}:
            line, other = next(
                (line, label) for line, label in zip(lines, labels, strict=True) if label != self._seen
            )
            raise UnreadableFile(
                self._name,
                f"row {line} is of {other!r} and rows before it of {self._seen!r}: one instrument per file",
            )
