"""The packages that we are compared with and that the product does not need."""

from __future__ import annotations

import fcntl
import importlib
import importlib.metadata
import re
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from project import installers

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "bench.txt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def lines(requirements: Path = REQUIREMENTS, only: Collection[str] | None = None) -> dict[str, str]:
    """The lines of *requirements* by the names that they begin with: all, or *only* those."""
    found = {}
    for line in requirements.read_text(encoding="utf-8").splitlines():
        name = _NAME.match(line)
        if name is not None and (only is None or name[0] in only):
            found[name[0]] = line
    return found


def missing(requirements: Path = REQUIREMENTS, only: Collection[str] | None = None) -> list[str]:
    """The names in *requirements* (*only* of these) that are not installed here."""
    names = []
    for name in lines(requirements, only):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            names.append(name)
    return names


def ensure(
    say: Callable[[str], None],
    *,
    requirements: Path = REQUIREMENTS,
    only: Collection[str] | None = None,
    python: Path = Path(sys.executable),
) -> None:
    """Install what is missing of *requirements* (*only* of these) for *python*.

    Several at once wait for each other: two that install into one environment get in each other's way.
    Raises `installers.InstallFailed`.
    """
    if not missing(requirements, only):
        return
    with (Path(sys.prefix) / "peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        importlib.invalidate_caches()
        absent = missing(requirements, only)
        if not absent:
            return
        say(f"installing what we are compared with: {', '.join(absent)}")
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as wanted:
            wanted.write("\n".join(lines(requirements, absent).values()) + "\n")
            wanted.flush()
            installers.install(python, Path(wanted.name), say=say)
