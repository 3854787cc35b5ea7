"""Files that are replaced in one step, so that readers see the old one or the new one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def part_of(path: Path) -> Path:
    """A name beside *path* that nobody else uses, for what will become it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes *path* when all of it has been written, and is gone when that fails."""
    part = part_of(path)
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
