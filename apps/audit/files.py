"""Files of a part of the chain, which can be verified without the database.

A file has a line of JSON for every row, with all of its columns, in the order of the chain. The first line
says which part it is; its ``seal`` is made like a row's hash, so that nobody without the key can shorten it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BufferedReader, BufferedWriter, FileIO
from json import dumps
from pathlib import Path
from typing import Any, Protocol

from apps.audit import canonical, keys
from apps.audit.canonical import ABSENT, Row
from apps.audit.walking import Anchor, Finding, Link, Walker, rows

FORMAT = "chandlery-audit/1"
_GZIP = b"\x1f\x8b"


class Writable(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, kw_only=True)
class Header:
    """Which part of the chain a file holds."""

    format: str
    first: int
    last: int
    #: Hexadecimal: of the row before the first, and of the last.
    previous_hash: str
    hash: str
    #: ISO 8601.
    written_at: str
    key_id: str
    seal: str = ""

    @classmethod
    def sealed(cls, *, first: int, last: int, previous_hash: bytes, digest: bytes, now: datetime) -> Header:
        """The header of a file that is about to be written."""
        plain = cls(
            format=FORMAT,
            first=first,
            last=last,
            previous_hash=previous_hash.hex(),
            hash=digest.hex(),
            written_at=now.isoformat(),
            key_id=keys.current(),
        )
        return cls(**{**asdict(plain), "seal": plain.expected_seal()})

    def expected_seal(self) -> str:
        """What the seal has to be. Raises `UnknownKey`."""
        content = dumps({**asdict(self), "seal": ""}, sort_keys=True, separators=(",", ":"))
        return keys.digest(self.key_id, content.encode()).hex()


def write(file: Writable, header: Header, lines: Iterable[str]) -> int:
    """Write the header and the rows; returns how many rows these were."""
    file.write(dumps({"audit": asdict(header)}).encode() + b"\n")
    count = 0
    for line in lines:
        file.write(line.encode() + b"\n")
        count += 1
    return count


class NewFile:
    """A file that appears under its name when it is whole and has reached the disk, or not at all.

    Closed to other users of the machine. Raises `FileExistsError` where there is one of that name.
    """

    def __init__(self, path: Path, *, compress: bool) -> None:
        if path.exists():
            raise FileExistsError(f"{path} is there already")
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._raw = _HashingFile(self._part)
        self._zipped = (
            gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=6, mtime=0)
            if compress
            else None
        )

    @property
    def file(self) -> Writable:
        """What to write to."""
        return self._zipped or self._raw

    def finish(self) -> str:
        """Bring it to the disk, and give it its name. Returns its SHA-256 in hexadecimal."""
        if self._zipped is not None:
            self._zipped.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        # Fails where somebody was faster.
        os.link(self._part, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._raw.digest.hexdigest()

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        # First: what is still to be written when it is closed may find the disk full, too.
        self._part.unlink(missing_ok=True)
        try:
            if self._zipped is not None:
                self._zipped.close()
        finally:
            self._raw.close()


class _HashingFile(BufferedWriter):
    """A new file that knows the SHA-256 of what was written to it."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        super().__init__(FileIO(descriptor, "wb"))
        self.digest = hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self.digest.update(data)
        return super().write(data)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileExamination:
    """One look at files that follow each other, or at one. Iterating yields what is wrong.

    A file may begin with rows that the one before ends with: who was killed while pruning begins anew.
    """

    def __init__(self, paths: Iterable[Path], *, anchors: Mapping[int, Anchor] | None = None) -> None:
        self._paths = list(paths)
        self._anchors = dict(anchors or {})
        self.rows = 0
        #: The last row, once there was one.
        self.last: Link | None = None
        #: Whether a row of a file so far was hashed under a key.
        self._keyed = False
        #: Hashes of the rows before those that files begin with, in hexadecimal; empty until they are read.
        self._before_first: dict[int, str] = {}

    def __iter__(self) -> Iterator[Finding]:
        self._before_first = dict.fromkeys(self._firsts(), "")
        before: Header | None = None
        seen: list[Header] = []
        for path in self._paths:
            try:
                header = yield from self._file(path, before)
            except (OSError, EOFError, zlib.error, UnicodeDecodeError) as exc:
                yield Finding(sequence=self._at(), what=f"{path} cannot be read on from here: {exc}")
                return
            if header is None:
                return
            before = header
            seen.append(header)
        for sequence in self._anchors:
            if not any(one.first <= sequence <= one.last for one in seen):
                yield Finding(sequence=sequence, what="is in none of the files")

    def _file(self, path: Path, before: Header | None) -> Generator[Finding, None, Header | None]:
        with _Lines(path) as lines:
            try:
                header = _header(next(lines, ""))
            except ValueError as exc:
                yield Finding(sequence=self._at(), what=f"{path}: the first line is no header: {exc}")
                return None
            yield from _of_header(header, before, self._before_first.get(header.first - 1, ""))
            anchors = self._anchors
            if before is not None and header.first <= before.last:
                again = Anchor(hash=bytes.fromhex(before.hash), source="in the file before")
                anchors = {before.last: again, **anchors}
            walker = Walker(
                expected=header.first,
                previous=bytes.fromhex(header.previous_hash),
                anchors=anchors,
                keyed=self._keyed,
            )
            for number, line in enumerate(lines, 2):
                try:
                    link = _link(line)
                except (ValueError, TypeError, KeyError) as exc:
                    yield Finding(sequence=walker.expected, what=f"line {number} is no row: {exc}")
                    walker.previous = None
                    walker.expected += 1
                    continue
                self.rows += 1
                self.last = link
                yield from walker.step(link)
                if link.row.sequence in self._before_first:
                    self._before_first[link.row.sequence] = link.hash.hex()
            yield from _of_end(header, walker)
            self._keyed = walker.keyed
            return header

    def _firsts(self) -> Iterator[int]:
        """The sequences before those that the files say they begin with."""
        for path in self._paths:
            # What cannot be read is found when its turn comes.
            with suppress(OSError, EOFError, zlib.error, ValueError), _Lines(path) as lines:
                yield _header(next(lines, "")).first - 1

    def _at(self) -> int:
        return self.last.row.sequence if self.last else 0


def _of_header(header: Header, before: Header | None, before_first: str) -> Iterator[Finding]:
    try:
        if header.expected_seal() != header.seal:
            yield Finding(sequence=header.first, what="the header of its file was changed")
    except keys.UnknownKey as exc:
        yield Finding(sequence=header.first, what=f"the header of its file cannot be verified: {exc}")
    if before is None:
        return
    if header.first == before.last + 1:
        before_first = before.hash
    elif header.first == before.first:
        before_first = before.previous_hash
    if header.first > before.last + 1 or header.last <= before.last or not before_first:
        yield Finding(
            sequence=header.first, what=f"begins a file, and the one before ends with row {before.last}"
        )
    elif header.previous_hash != before_first:
        yield Finding(sequence=header.first, what="does not follow the row before it in another file")


def _of_end(header: Header, walker: Walker) -> Iterator[Finding]:
    if walker.keyed and header.key_id == keys.NO_KEY:
        # Anybody can make such a seal, and so shorten the file.
        yield Finding(
            sequence=header.first, what="the header of its file was sealed without a key, unlike the rows"
        )
    last = walker.expected - 1
    if last < header.last:
        yield Finding(sequence=header.last, what=f"{rows(walker.expected, header.last)} missing at the end")
    elif last > header.last:
        yield Finding(sequence=last, what=f"lies behind the end of its file, which is row {header.last}")
    elif walker.previous is not None and walker.previous.hex() != header.hash:
        yield Finding(sequence=last, what="is not the row that the header names: one of them was replaced")


class _Lines:
    """The lines of a file, compressed or not."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        zipped = self._raw.read(2) == _GZIP
        self._raw.seek(0)
        self._file: gzip.GzipFile | BufferedReader = (
            gzip.GzipFile(fileobj=self._raw, mode="rb") if zipped else self._raw
        )

    def __enter__(self) -> Iterator[str]:
        return (line.decode().rstrip("\n") for line in self._file)

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._raw.close()


def _header(line: str) -> Header:
    found = canonical.decode(line)
    if not isinstance(found, dict) or not isinstance(found.get("audit"), dict):
        raise ValueError("it says nothing of an audit")
    try:
        header = Header(**found["audit"])
    except TypeError as exc:
        raise ValueError(str(exc)) from None
    if header.format != FORMAT:
        raise ValueError(f"the format is {header.format!r}, this reads {FORMAT}")
    numbers = {"first", "last"}
    if not all(isinstance(value, int if name in numbers else str) for name, value in asdict(header).items()):
        raise ValueError("its fields are not what they should be")
    bytes.fromhex(header.previous_hash)
    bytes.fromhex(header.hash)
    return header


#: The columns of a row in a file that are text.
_TEXTS = (
    "actor", "action", "object_type", "object_id", "account", "outcome", "user_agent", "request_id",
    "correlation_id", "key_id",
)  # fmt: skip
_COLUMNS = frozenset(
    {
        *_TEXTS, "sequence", "id", "encoding", "occurred_at", "recorded_at", "address", "before", "after",
        "detail", "previous_hash", "hash",
    }
)  # fmt: skip


def _link(line: str) -> Link:
    """The row of a line. Raises `ValueError`, `TypeError` or `KeyError`."""
    found = canonical.decode(line)
    if not isinstance(found, dict):
        raise TypeError("it is no object")
    if found.keys() != _COLUMNS:
        raise ValueError(f"its columns differ: {', '.join(sorted(found.keys() ^ _COLUMNS))}")
    for name in _TEXTS:
        if not isinstance(found[name], str):
            raise TypeError(f"{name} is no text")
    if type(found["sequence"]) is not int:
        raise TypeError("sequence is no integer")
    return Link(
        row=Row(
            sequence=found["sequence"],
            id=found["id"],
            occurred_at=_moment(found["occurred_at"]),
            recorded_at=_moment(found["recorded_at"]),
            actor=found["actor"],
            action=found["action"],
            object_type=found["object_type"],
            object_id=found["object_id"],
            account=found["account"],
            outcome=found["outcome"],
            address=found["address"],
            user_agent=found["user_agent"],
            request_id=found["request_id"],
            correlation_id=found["correlation_id"],
            before=_json(found["before"]),
            after=_json(found["after"]),
            detail=_json(found["detail"]),
            key_id=found["key_id"],
            previous_hash=_bytes(found["previous_hash"]),
        ),
        hash=_bytes(found["hash"]),
        encoding=found["encoding"],
    )


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError(f"{text} has no offset from UTC")
    return canonical.microseconds(moment)


def _bytes(text: str) -> bytes:
    """As PostgreSQL writes them."""
    if not text.startswith("\\x"):
        raise ValueError("a hash is not written as one")
    return bytes.fromhex(text[2:])


def _json(value: Any) -> Any:
    # JSON has one null: no column of a row holds that of JSON itself.
    return ABSENT if value is None else value
