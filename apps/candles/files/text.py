"""Candles as lines of text: separators, headers and times sniffed from the first lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import IO, Any

from apps.candles.files.batches import BATCH_ROWS, MAX_LINE, Batch, OneInstrument, Options, Progress
from apps.candles.files.columns import FIELDS, Layout, by_name, by_place, is_header
from apps.candles.files.errors import AmbiguousFile, UnreadableFile
from apps.candles.files.times import read_times

# What is read and cut into lines at a time: about as many lines as a batch has.
_BLOCK = 4 * 2**20
# In this order: a comma may also be part of a number or of a name.
_SEPARATORS = ("\t", ";", "|", ",")
# So many lines are looked at before the rest is read.
_SAMPLE = 100
# So many of them may come before the header: a title, an address, remarks.
_PREAMBLE = 10
_ENCODING = ("utf-8", "surrogateescape")


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How the lines of a file are to be read."""

    separator: str
    layout: Layout
    #: The number of the first line that holds candles.
    start: int


def read_text(
    stream: IO[bytes], *, name: str, entry: str | None, options: Options, progress: Progress
) -> Iterator[Batch]:
    """The batches of one text, UTF-8 with or without its mark. Every line is a row; blank ones are none.

    Raises `UnreadableFile` for text that is not candles, and for a line longer than `MAX_LINE`.
    """
    form: _Form | None = None
    instruments = OneInstrument(name)
    for numbers, lines in _lines(stream, name):
        if form is None:
            form = _sniff(name, numbers, lines, options)
        for first in range(0, len(lines), BATCH_ROWS):
            places, cells = _cells(
                numbers[first : first + BATCH_ROWS], lines[first : first + BATCH_ROWS], form
            )
            if not cells:
                continue
            rows = _rows(cells, form.layout, options)
            if form.layout.label is not None:
                at = form.layout.label
                # Only of what has a time: a header that comes again is of no instrument.
                told = [at < len(cells[place]) and isinstance(row[0], int) for place, row in enumerate(rows)]
                instruments.check([row[at] for row in compress(cells, told)], list(compress(places, told)))
            yield Batch(
                rows=rows,
                lines=places,
                raw=cells,
                entry=entry,
                done=progress.done(),
                total=progress.total,
                unit="bytes",
            )
    if form is None:
        raise UnreadableFile(name, "it is empty")


def _lines(stream: IO[bytes], name: str) -> Iterator[tuple[Sequence[int], list[str]]]:
    """The lines that are not blank and their numbers, a block of whole lines at a time."""
    number, rest, first = 1, b"", True
    while True:
        block = stream.read(_BLOCK)
        data = rest + block
        if first:
            data = data.removeprefix(b"\xef\xbb\xbf")
            _check_text(data, name)
            first = False
        end = data.rfind(b"\n") + 1 if block else len(data)
        rest = data[end:]
        lines = data[:end].decode(*_ENCODING).replace("\r\n", "\n").split("\n")
        if block:
            lines.pop()
        numbers = range(number, number + len(lines))
        number += len(lines)
        if len(rest) > MAX_LINE or max(map(len, lines), default=0) > MAX_LINE:
            long = next((at for at, line in zip(numbers, lines, strict=True) if len(line) > MAX_LINE), number)
            raise UnreadableFile(name, f"line {long} is longer than {MAX_LINE:,} bytes")
        if lines and all(map(str.strip, lines)):
            yield numbers, lines
        else:
            kept = [(at, line) for at, line in zip(numbers, lines, strict=True) if line.strip()]
            if kept:
                yield [at for at, _ in kept], [line for _, line in kept]
        if not block:
            return


def _check_text(data: bytes, name: str) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableFile(name, "it is UTF-16: save it as UTF-8")
    if b"\0" in data:
        raise UnreadableFile(name, "it is neither text nor of a format known here")


def _split(line: str, separator: str) -> list[str]:
    """The cells of one line, which ends whatever quotes are open in it."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except (csv.Error, StopIteration):
        return line.split(separator)


def _cells(numbers: Sequence[int], lines: list[str], form: _Form) -> tuple[Sequence[int], list[list[str]]]:
    """The lines from the form's first on, in cells, and their numbers."""
    skipped = sum(number < form.start for number in numbers[:_SAMPLE]) if numbers[0] < form.start else 0
    numbers, lines = numbers[skipped:], lines[skipped:]
    separator = form.separator
    joined = "\n".join(lines)
    if '"' in joined:
        cells = [_split(line, separator) if '"' in line else line.split(separator) for line in lines]
    else:
        cells = [line.split(separator) for line in lines]
    if " " + separator in joined or separator + " " in joined:
        cells = [[cell.strip() for cell in row] for row in cells]
    return numbers, cells


def _rows(cells: list[list[str]], layout: Layout, options: Options) -> list[Any]:
    """Cells as the gate takes them."""
    at, *places = layout.places
    width = layout.width
    if min(map(len, cells)) >= width:
        times = read_times([row[at] for row in cells], options.time_unit)
        return list(zip(times, *([row[place] for row in cells] for place in places), strict=True))
    times = read_times([row[at] if len(row) > at else "" for row in cells], options.time_unit)
    rows: list[Any] = []
    for time, row in zip(times, cells, strict=True):
        found = [row[place] for place in places if place < len(row)]
        rows.append((time, *found) if len(row) > at else tuple(found))
    return rows


def _sniff(name: str, numbers: Sequence[int], lines: list[str], options: Options) -> _Form:
    """The form of a text, told by its first lines. Raises `UnreadableFile` and `AmbiguousFile`."""
    sample = lines[:_SAMPLE]
    least = len(FIELDS) - 1
    votes = {mark: sum(line.count(mark) >= least for line in sample) for mark in _SEPARATORS}
    separator = max(_SEPARATORS, key=votes.__getitem__)
    if not votes[separator]:
        raise UnreadableFile(name, f"no line has {len(FIELDS)} columns: the first is {sample[0][:60]!r}")
    rows = [[cell.strip() for cell in _split(line, separator)] for line in sample]
    first = next(place for place, row in enumerate(rows) if len(row) >= len(FIELDS))
    if first > _PREAMBLE:
        raise UnreadableFile(name, f"the first {_PREAMBLE} lines do not have {len(FIELDS)} columns")
    asked = options.columns or {}
    header = is_header(rows[first]) or bool({*asked.values()} & {*rows[first]})
    if header:
        layout = by_name(name, rows[first], options)
    else:
        layout = by_place(name, asked)
        # When all columns are given by place, their names may be any.
        header = bool(asked) and not _is_data(rows[first], layout, options)
    data = [row for row in rows[first + header :] if len(row) >= layout.width]
    if data:
        _check_times(name, [row[layout.places[0]] for row in data], options)
        _check_numbers(name, data, layout, guessed=not header and not asked)
    return _Form(separator=separator, layout=layout, start=numbers[first] + header)


def _is_data(row: list[str], layout: Layout, options: Options) -> bool:
    """Whether a line has a time or prices."""
    if len(row) < layout.width:
        return False
    [time] = read_times([row[layout.places[0]]], options.time_unit)
    return isinstance(time, int) or _prices(row, layout, ".") is not None


def _check_times(name: str, column: list[str], options: Options) -> None:
    """Raises unless one of these is a time."""
    times = read_times(column, options.time_unit)
    if any(isinstance(time, int) for time in times):
        return
    problem = f"no time can be read; the first is {column[0][:60]!r}, {str(times[0]).partition(':')[0]}"
    if options.time_unit is not None:
        raise UnreadableFile(name, problem)
    numeric = str(times[0]).startswith("not of a known unit")
    raise AmbiguousFile(name, problem, option="time_unit" if numeric else "columns")


def _check_numbers(name: str, data: list[list[str]], layout: Layout, *, guessed: bool) -> None:
    """Raises when no line holds prices, or when columns without names are not in the usual order."""
    prices = [values for row in data if (values := _prices(row, layout, "."))]
    if not prices:
        if any(_prices(row, layout, ",") for row in data):
            raise UnreadableFile(name, "its numbers have a decimal comma: write them with a point")
        raise UnreadableFile(name, f"no line has prices where they should be; the first is {data[0][:8]}")
    ordered = sum(
        high >= max(opening, close) and low <= min(opening, close) for opening, high, low, close in prices
    )
    if guessed and 2 * ordered < len(prices):
        raise AmbiguousFile(
            name,
            "without a header its columns should be time, open, high, low, close, volume, "
            f"and they are not: {data[0][:8]}",
            option="columns",
        )


def _prices(row: list[str], layout: Layout, mark: str) -> list[float] | None:
    try:
        return [float(row[place].replace(mark, ".")) for place in layout.places[1:5]]
    except ValueError:
        return None
