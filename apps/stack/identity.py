"""Telling one process from another that later got the same number."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LINUX = sys.platform.startswith("linux")


@cache
def _boot_id() -> str:
    """A text that changes with every boot: the kernel's tick counts start again then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _ps(pid: int, column: str) -> str | None:
    """One column of ``ps`` for *pid*, or None when there is no such process."""
    answer = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def started_at(pid: int) -> str | None:
    """When process *pid* began, as a text that is only good for comparison; None when it is gone.

    A zombie counts as gone: it runs no code and holds nothing.
    """
    if not _LINUX:
        return _ps(pid, "lstart")
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may contain anything, so count from its end.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    return f"{_boot_id()}:{fields[19]}"


def command_line(pid: int) -> tuple[str, ...]:
    """The arguments of process *pid*; empty when it is gone or may not be read."""
    if not _LINUX:
        return tuple((_ps(pid, "command") or "").split())
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(part) for part in raw.split(b"\0") if part)


def children(pid: int) -> tuple[int, ...]:
    """The direct children of process *pid*, in the order in which the system lists them."""
    if _LINUX:
        found: list[int] = []
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(number) for number in task.read_text(encoding="ascii").split()]
            except OSError:
                continue
        return tuple(found)
    answer = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return tuple(int(number) for number in answer.stdout.split())


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One process for certain: its number together with the moment it began."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Who *pid* is now; None when it is gone."""
        started = started_at(pid)
        return cls(pid=pid, started=started) if started is not None else None

    def alive(self) -> bool:
        """True while this very process runs; another one with its number does not count."""
        return started_at(self.pid) == self.started
