"""Writing candles: to files, and as the bytes of an answer.

Every format keeps every value to the bit. In CSV, times are ISO 8601 in UTC (``2023-03-01 00:00:00Z``:
``pandas.read_csv(…, parse_dates=["ts"])`` reads them) and numbers are the shortest decimals that mean
the float, without exponents.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from apps.candles.atomic import replacing
from apps.candles.sources.base import Candles
from apps.candles.sources.disk import write_npz

#: What `write_candles_file` writes.
WRITE_FORMATS = ("csv", "npz", "parquet", "arrow")
#: What `encode` gives.
ENCODINGS = ("csv", "arrow", "npz")

# Bytes of an answer in a piece.
_PIECE = 256 * 2**10


def write_candles_file(candles: Candles, target: Path | str | IO[bytes], format: str) -> None:  # noqa: A002
    """Write the bars of one instrument and timeframe as *format*, one of `WRITE_FORMATS`.

    A path is replaced in one step. CSV and ``.npz`` have the columns ``ts`` and `VALUES`, and `DiskSource`
    reads the latter. Parquet and ``arrow`` (an IPC stream) have them too, ``ts`` as
    ``timestamp[ms, UTC]``, and say in their metadata which ``instrument``, ``timeframe`` and ``source``
    they are of, and their ``fingerprint``. Raises ValueError for another format.
    """
    if format not in WRITE_FORMATS:
        raise ValueError(f"the format is one of {', '.join(WRITE_FORMATS)}, not {format!r}")
    if isinstance(target, Path | str):
        with replacing(Path(target)) as file:
            _write(candles, file, format)
    else:
        _write(candles, target, format)


def encode(candles: Sequence[Candles], format: str) -> Iterator[bytes]:  # noqa: A002
    """The bars of several instruments in one timeframe, piece by piece, as one of `ENCODINGS`.

    CSV and ``arrow`` (an IPC stream) have a column ``instrument`` before the others, whatever the number
    of instruments, and keep the order in which they were given. In Arrow it is encoded by a dictionary,
    and the metadata say the ``timeframe`` and, as a JSON list under ``candles``, of each instrument its
    ``instrument``, ``timeframe``, ``source``, ``fingerprint`` and number of ``rows``.

    Raises ValueError, at once, for another format, for ``npz`` of anything but one instrument, and for
    more than one timeframe.
    """
    if format not in ENCODINGS:
        raise ValueError(f"the format is one of {', '.join(ENCODINGS)}, not {format!r}")
    if len({one.timeframe for one in candles}) > 1:
        raise ValueError("the candles are not of one timeframe")
    if format == "npz":
        if len(candles) != 1:
            raise ValueError(f"npz holds one instrument, not {len(candles)}")
        return _npz(candles[0])
    from apps.candles.files import arrow, csvs  # pyarrow takes a while to import

    return arrow.stream(candles) if format == "arrow" else csvs.text(candles, labelled=True)


def _write(candles: Candles, file: IO[bytes], kind: str) -> None:
    if kind == "npz":
        write_npz(candles, file)
        return
    from apps.candles.files import arrow, csvs  # pyarrow takes a while to import

    if kind == "csv":
        file.writelines(csvs.text([candles], labelled=False))
    elif kind == "parquet":
        arrow.write_parquet(candles, file)
    else:
        arrow.write_stream(candles, file)


def _npz(candles: Candles) -> Iterator[bytes]:
    memory = io.BytesIO()
    write_npz(candles, memory)
    data = memory.getbuffer()
    for start in range(0, len(data), _PIECE):
        yield bytes(data[start : start + _PIECE])
