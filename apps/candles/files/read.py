"""Reading candles out of a file, whatever it is."""

from __future__ import annotations

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from apps.candles.files.arrays import read_npz
from apps.candles.files.batches import MAX_UNPACKED, Batch, Options, Progress
from apps.candles.files.columns import check_columns
from apps.candles.files.errors import UnreadableFile
from apps.candles.files.text import read_text
from apps.candles.files.times import TIME_UNITS

#: What can be read. ``csv`` is any text with separators, also packed by gzip or in a zip.
READ_FORMATS = ("csv", "npz", "parquet")

_REFUSED = {
    b"\x93NUMPY": "it is a single NumPy array, which does not say what is what: save a .npz",
    b"ARROW1": "it is an Arrow file: save it as Parquet",
    b"\xff\xff\xff\xff": "it is an Arrow stream: save it as Parquet",
    b"BZh": "it is packed by bzip2: unpack it, or pack it by gzip",
    b"\xfd7zXZ": "it is packed by xz: unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd: unpack it, or pack it by gzip",
    b"7z\xbc\xaf": "it is a 7z archive: unpack it, or make it a zip",
    b"%PDF": "it is a PDF",
    b"\xd0\xcf\x11\xe0": "it is a spreadsheet: save it as CSV",
    b"SQLite format 3": "it is an SQLite database",
}


# What the readers of packed files raise. Names of entries and columns are the only text that is decoded
# strictly.
_DAMAGE = (
    EOFError,
    UnicodeDecodeError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
)


def read_minutes(
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str | int] | None = None,
    time_unit: str | None = None,
    base: str | None = None,
) -> Iterator[Batch]:
    """The rows of a file as the quality gate takes them, in the file's order, a batch at a time.

    What the file is is told by its content: text with commas, semicolons, tabs or bars between the
    columns (plain, by gzip, or any number of them in a zip, such as Binance's archives), ``.npz``, or
    Parquet. *format*, one of `READ_FORMATS`, only insists on one of them.

    Columns are found by their names, in any order and case; text without a header holds time, open,
    high, low, close, volume, and then whatever else. Volumes are in units of the base: of ``Volume BTC``
    and ``Volume USDT`` that is the first, told by *base* (``BTC``) or, where no column is named after it,
    because the other is a currency of quotes. *columns* says where something is, by name or by place
    counted from 0, for example ``{"ts": "Date", "volume": 6}``.

    Times are numbers, each of the unit (s, ms, us, ns) in which it lies in the years 1973 to 2286, or
    ISO 8601, in UTC where there is no offset. *time_unit*, one of `TIME_UNITS`, says what all of them are.

    Raises ValueError for arguments that cannot be. While it is read: `UnreadableFile` for a file that is
    none of these, is damaged, or breaks a limit (`MAX_UNPACKED`, `MAX_LINE`, `MAX_ROW_GROUP`), and
    `AmbiguousFile` for one that an argument must settle. Memory holds one batch, whatever the file.
    """
    if format is not None and format not in READ_FORMATS:
        raise ValueError(f"format= is one of {', '.join(READ_FORMATS)}, not {format!r}")
    if time_unit is not None and time_unit not in TIME_UNITS:
        raise ValueError(f"time_unit= is one of {', '.join(TIME_UNITS)}, not {time_unit!r}")
    check_columns(columns or {})
    options = Options(columns=columns, time_unit=time_unit, base=base)
    return _guarded(Path(path), format, options)


def _guarded(path: Path, wanted: str | None, options: Options) -> Iterator[Batch]:
    """Damage that the readers of packed files find, as `UnreadableFile`."""
    try:
        yield from _read(path, wanted, options)
    except _DAMAGE as exc:
        raise UnreadableFile(path.name, f"it is damaged: {exc}") from None
    except NotImplementedError as exc:  # what zipfile says of a compression that it does not know
        raise UnreadableFile(path.name, f"it is packed in an unknown way: {exc}") from None
    except OSError as exc:
        raise UnreadableFile(path.name, f"it cannot be read: {exc.strerror or exc}") from None


def _read(path: Path, wanted: str | None, options: Options) -> Iterator[Batch]:
    name = path.name
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        for magic, problem in _REFUSED.items():
            if head.startswith(magic):
                raise UnreadableFile(name, problem)
        if head.startswith(b"PAR1"):
            _insist(name, wanted, "parquet")
            from apps.candles.files.parquet import read_parquet  # pyarrow takes a while to import

            yield from read_parquet(path, options=options)
        elif head.startswith(b"PK"):
            with zipfile.ZipFile(file) as archive:
                yield from _read_zip(archive, name, wanted, options)
        else:
            _insist(name, wanted, "csv")
            progress = Progress(file.tell, path.stat().st_size)
            if head.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    stream = _Limited(cast("IO[bytes]", unpacked), name)
                    yield from _text(stream, name, None, options, progress)
            else:
                yield from _text(file, name, None, options, progress)


def _text(stream: Any, name: str, entry: str | None, options: Options, progress: Progress) -> Iterator[Batch]:
    return read_text(stream, name=name, entry=entry, options=options, progress=progress)


def _insist(name: str, wanted: str | None, found: str) -> None:
    if wanted not in (None, found):
        raise UnreadableFile(name, f"it is {found}, not {wanted}")


def _read_zip(archive: zipfile.ZipFile, name: str, wanted: str | None, options: Options) -> Iterator[Batch]:
    members = [
        member
        for member in archive.infolist()
        if not member.filename.endswith("/")
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableFile(name, "it is encrypted")
    if any(member.filename.endswith(".npy") for member in members):
        _insist(name, wanted, "npz")
        yield from read_npz(archive, name=name, options=options)
        return
    _insist(name, wanted, "csv")
    endings = {PurePosixPath(member.filename).suffix.lower() for member in members}
    read = (".csv", ".tsv") if endings & {".csv", ".tsv"} else (".txt",)
    texts = sorted(
        (member for member in members if PurePosixPath(member.filename).suffix.lower() in read),
        key=lambda member: member.filename,
    )
    if not texts:
        held = ", ".join(member.filename for member in members[:5]) or "nothing"
        raise UnreadableFile(name, f"it holds no .csv, .tsv, .txt or .npy, but {held}")
    total = sum(member.file_size for member in texts)
    if total > MAX_UNPACKED:
        raise UnreadableFile(name, f"it unpacks to more than {MAX_UNPACKED:,} bytes")
    before = 0
    for member in texts:
        with archive.open(member) as stream:
            progress = Progress(_further(before, stream), total)
            entry = member.filename
            yield from _text(stream, f"{name}: {entry}", entry, options, progress)
        before += member.file_size


def _further(before: int, stream: IO[bytes]) -> Callable[[], int]:
    return lambda: before + stream.tell()


class _Limited:
    """A stream that refuses to give more than `MAX_UNPACKED`."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._given = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._given += len(data)
        if self._given > MAX_UNPACKED:
            raise UnreadableFile(self._name, f"it unpacks to more than {MAX_UNPACKED:,} bytes")
        return data
