"""The packages that we are compared with and that the product does not need."""

from __future__ import annotations

import fcntl
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Callable
from pathlib import Path

from project import installers

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "bench.txt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def missing(requirements: Path = REQUIREMENTS) -> list[str]:
    """The names in *requirements* that are not installed here."""
    names = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        name = _NAME.match(line)
        if name is None:
            continue
        try:
            importlib.metadata.version(name[0])
        except importlib.metadata.PackageNotFoundError:
            names.append(name[0])
    return names


def ensure(
    say: Callable[[str], None], *, requirements: Path = REQUIREMENTS, python: Path = Path(sys.executable)
) -> None:
    """Install what is missing for *python*. Raises `installers.InstallFailed`.

    Several at once wait for each other: two that install into one environment get in each other's way.
    """
    if not missing(requirements):
        return
    with (Path(sys.prefix) / "peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        importlib.invalidate_caches()
        absent = missing(requirements)
        if absent:
            say(f"installing what we are compared with: {', '.join(absent)}")
            installers.install(python, requirements, say=say)
