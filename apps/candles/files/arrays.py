"""Candles as NumPy arrays: ``.npz`` files, read a piece at a time."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from apps.candles.files.batches import BATCH_ROWS, MAX_UNPACKED, Batch, Options
from apps.candles.files.columns import by_name
from apps.candles.files.errors import AmbiguousFile, UnreadableFile
from apps.candles.files.times import of_unit, read_times

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# Integers, floats, text and moments: what candles may be.
_KINDS = frozenset("iufUM")


def read_npz(archive: zipfile.ZipFile, *, name: str, options: Options) -> Iterator[Batch]:
    """The batches of an ``.npz`` whose arrays are named like columns; names that mean nothing are ignored.

    Every array has one dimension and all are of one length. Raises `UnreadableFile`.
    """
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise UnreadableFile(name, f"it unpacks to more than {MAX_UNPACKED:,} bytes")
    layout = by_name(name, [member.filename.removesuffix(".npy") for member in members], options)
    with ExitStack() as stack:
        columns = []
        for place in layout.places:
            stream = stack.enter_context(archive.open(members[place]))
            columns.append((stream, *_header(stream, members[place], name)))
        total = columns[0][2]
        if any(count != total for _, _, count in columns):
            raise UnreadableFile(name, f"its arrays differ in length: {[count for *_, count in columns]}")
        for first in range(0, total, BATCH_ROWS):
            count = min(BATCH_ROWS, total - first)
            pieces = [_take(stream, dtype, count, name) for stream, dtype, _ in columns]
            times = moments(pieces[0], options.time_unit)
            if not first:
                check_times(name, times)
            rows: list[Any] = list(zip(times, *map(values, pieces[1:]), strict=True))
            yield Batch(
                rows=rows,
                lines=range(first + 1, first + count + 1),
                raw=rows,
                entry=None,
                done=first + count,
                total=total,
                unit="rows",
            )


def _header(stream: IO[bytes], member: zipfile.ZipInfo, name: str) -> tuple[np.dtype[Any], int]:
    """The type and length of an array, after a look at whether its bytes are there."""
    try:
        version = npy.read_magic(stream)
        shape, _, dtype = _READERS[version](stream)
    except Exception as exc:
        # NumPy reads it as Python's own notation, and does not say what that may raise.
        raise UnreadableFile(
            name, f"{member.filename} is no array: {type(exc).__name__}: {str(exc)[:200]}"
        ) from None
    vague = dtype.kind == "M" and np.datetime_data(dtype)[0] == "generic"
    if dtype.kind not in _KINDS or not dtype.itemsize or vague or len(shape) != 1:
        raise UnreadableFile(name, f"{member.filename} is of the type {dtype} and the shape {shape}")
    if shape[0] * dtype.itemsize != member.file_size - stream.tell():
        raise UnreadableFile(name, f"{member.filename} does not have the size that it should have")
    return dtype, shape[0]


def _take(stream: IO[bytes], dtype: np.dtype[Any], count: int, name: str) -> NDArray[Any]:
    data = stream.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise UnreadableFile(name, "it ends in the middle of an array")
    return _text(data, dtype) if dtype.kind == "U" else np.frombuffer(data, dtype=dtype)


def _text(data: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Text, with the mark for what is no character in the place of such codes."""
    codes = np.frombuffer(data, dtype=np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    bad = (codes > sys.maxunicode) | ((codes >= 0xD800) & (codes <= 0xDFFF))
    return np.where(bad, 0xFFFD, codes).astype(codes.dtype).view(dtype)


def check_times(name: str, times: Sequence[int | str]) -> None:
    """Raises `AmbiguousFile` when none of these is a time, as `read_times` gives them."""
    if times and not any(isinstance(time, int) for time in times):
        raise AmbiguousFile(name, f"no time can be read; the first is {times[0]}", option="time_unit")


def moments(array: NDArray[Any], unit: str | None) -> list[int | str]:
    """Times of any kind in milliseconds, as `read_times` gives them."""
    if array.dtype.kind == "M":
        spelled, step = np.datetime_data(array.dtype)
        if step == 1 and spelled in ("s", "ms", "us", "ns"):
            return of_unit(array.astype(f"M8[{spelled}]").view(np.int64), spelled)
        return of_unit(array.astype("M8[s]").view(np.int64), "s")
    if array.dtype.kind == "f":
        return read_times(values(array), unit)
    return read_times(array.tolist(), unit)


def values(array: NDArray[Any]) -> Sequence[Any]:
    """Numbers as the gate takes them. A narrower float is the shortest decimal that means it, too."""
    if array.dtype.kind == "f" and array.dtype != np.float64:
        return [str(value) for value in array]
    result: list[Any] = array.tolist()
    return result
