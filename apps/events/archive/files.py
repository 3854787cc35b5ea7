"""Archive files and their manifests."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from io import BufferedWriter, FileIO
from itertools import groupby
from pathlib import Path
from typing import Any, Self

FORMAT = "chandlery-events/1"
_SUFFIX = ".jsonl.gz"
_MANIFEST = ".manifest.json"
_CHUNK = 1 << 20


class ArchiveError(Exception):
    """A file that is no archive, is damaged, or cannot be taken back here."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a file holds. Times are ISO 8601."""

    format: str
    file: str
    sha256: str
    bytes: int
    #: The database that it was written from.
    origin: str
    projection: str
    streams: int
    events: int
    first_stream: str
    last_stream: str
    first_position: int
    last_position: int
    first_recorded_at: str
    last_recorded_at: str
    #: All of its streams were finished before.
    finished_before: str
    written_at: str
    #: When the database had been rid of its streams; null until then.
    dropped_at: str | None


@dataclass(frozen=True, kw_only=True)
class Span:
    """One whole stream in a file, or in the table: how many events, its highest version and position."""

    stream: str
    events: int
    version: int
    position: int


class Archive:
    """One file with its manifest. Raises `ArchiveError` when that is missing or makes no sense."""

    def __init__(self, path: Path) -> None:
        name = path.name.removesuffix(_MANIFEST)
        self.path = path.with_name(name)
        self._manifest_path = path.with_name(name + _MANIFEST)
        try:
            content = json.loads(self._manifest_path.read_text(encoding="utf-8"))
            known = {field.name for field in fields(Manifest)}
            self.manifest = Manifest(**{key: value for key, value in content.items() if key in known})
        except OSError as exc:
            raise ArchiveError(f"{self.path} has no manifest: {exc}") from None
        except (ValueError, TypeError, AttributeError) as exc:
            raise ArchiveError(f"{self._manifest_path} is no manifest: {exc}") from None
        if self.manifest.format != FORMAT:
            raise ArchiveError(f"{self.path} has format {self.manifest.format}, this reads {FORMAT}")

    def verify(self) -> None:
        """Raise `ArchiveError` unless the file is, byte for byte, what was written."""
        digest, size = hashlib.sha256(), 0
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
        except OSError as exc:
            raise ArchiveError(f"{self.path} cannot be read: {exc}") from None
        if (digest.hexdigest(), size) != (self.manifest.sha256, self.manifest.bytes):
            raise ArchiveError(f"{self.path} is damaged: it is not what its manifest says")

    def lines(self) -> Iterator[str]:
        """The events as they were written, one JSON text each, without line ends."""
        with gzip.open(self.path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\n")

    def spans(self) -> Iterator[Span]:
        """The streams, as they lie in the file."""
        events = (json.loads(line) for line in self.lines())
        for stream, group in groupby(events, key=lambda event: str(event["stream"])):
            history = [(event["version"], event["position"]) for event in group]
            yield Span(
                stream=stream,
                events=len(history),
                version=max(version for version, _ in history),
                position=max(position for _, position in history),
            )

    def mark_dropped(self, moment: datetime) -> None:
        """Note in the manifest that the database is rid of the streams."""
        self.manifest = replace(self.manifest, dropped_at=moment.isoformat())
        _write_manifest(self._manifest_path, self.manifest)


class Writer:
    """Writes one file. Its manifest, then the file itself appear under their names when it is whole."""

    def __init__(self, folder: Path, *, origin: str) -> None:
        self._folder, self._origin = folder, origin
        # One name for all files of this database: what a killed run left is overwritten.
        self._path = folder / f".{origin}.part"
        self._raw = _HashingFile(self._path)
        self._gzip = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=6, mtime=0)
        self.streams = self.events = 0
        self._stream = self._first_stream = ""
        self._positions: tuple[int, int] | None = None
        self._times: tuple[datetime, datetime] | None = None

    def write(self, rows: Iterable[tuple[str, int, datetime, str]]) -> None:
        """Add events: stream, position, time, and the line itself. Those of a stream follow each other."""
        for stream, position, moment, line in rows:
            if stream != self._stream:
                self.streams += 1
                self._stream = stream
                self._first_stream = self._first_stream or stream
            self.events += 1
            low, high = self._positions or (position, position)
            self._positions = (min(low, position), max(high, position))
            early, late = self._times or (moment, moment)
            self._times = (min(early, moment), max(late, moment))
            self._gzip.write(line.encode() + b"\n")

    def finish(self, *, name: str, projection: str, finished_before: datetime, now: datetime) -> Archive:
        """Bring the file to the disk, give it its name, and return it."""
        self._gzip.close()
        self._raw.sync()
        if self._positions is None or self._times is None:
            raise ValueError("an archive file without events")
        file = name + _SUFFIX
        manifest = Manifest(
            format=FORMAT,
            file=file,
            sha256=self._raw.digest.hexdigest(),
            bytes=self._raw.size,
            origin=self._origin,
            projection=projection,
            streams=self.streams,
            events=self.events,
            first_stream=self._first_stream,
            last_stream=self._stream,
            first_position=self._positions[0],
            last_position=self._positions[1],
            first_recorded_at=self._times[0].isoformat(),
            last_recorded_at=self._times[1].isoformat(),
            finished_before=finished_before.isoformat(),
            written_at=now.isoformat(),
            dropped_at=None,
        )
        # The manifest first: a file with its name always has one, a manifest without file holds nothing.
        _write_manifest(self._folder / (file + _MANIFEST), manifest)
        self._path.rename(self._folder / file)
        _sync_folder(self._folder)
        return Archive(self._folder / file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget what was written, unless it has its name."""
        self._gzip.close()
        self._raw.close()
        self._path.unlink(missing_ok=True)


class _HashingFile(BufferedWriter):
    """A new file, closed to others, that knows the SHA-256 of what was written to it."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        super().__init__(FileIO(descriptor, "wb"))
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self.digest.update(data)
        self.size += written
        return written

    def sync(self) -> None:
        self.flush()
        os.fsync(self.fileno())


def unfinished(folder: Path, *, origin: str) -> list[Archive]:
    """The files of this database whose streams it may still have, oldest first."""
    archives = [Archive(path) for path in sorted(folder.glob(f"*{_SUFFIX}{_MANIFEST}"))]
    return [
        archive
        for archive in archives
        # One that a killed run did not get to name holds nothing: its streams are all here.
        if archive.manifest.origin == origin and not archive.manifest.dropped_at and archive.path.exists()
    ]


def _write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step that a crash cannot split."""
    part = path.with_name(f".{path.name}.part")
    with _HashingFile(part) as file:
        file.write((json.dumps(asdict(manifest), indent=2) + "\n").encode())
        file.sync()
    part.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
