"""How much processor time processes have used, and waiting until others use none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.stack.identity import children

_LINUX = sys.platform.startswith("linux")
_TICK = os.sysconf("SC_CLK_TCK")


def _of(pid: int, *, with_ended: bool) -> float:
    if not _LINUX:
        answer = subprocess.run(
            ["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.strip()
        parts = [float(part) for part in re.split("[:-]", answer) if part]
        return sum(part * 60**power for power, part in enumerate(reversed(parts)))
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    # After the name, which may contain anything: user, system, and the same of children that have ended.
    fields = stat.rpartition(")")[2].split()[11:15]
    return sum(map(int, fields if with_ended else fields[:2])) / _TICK


def parent_of(pid: int) -> int:
    """The number of its parent."""
    answer = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(answer.stdout)


def alone(pid: int) -> float:
    """Seconds that the process has used."""
    return _of(pid, with_ended=False)


def below(pid: int) -> float:
    """Seconds that its direct children have used; on Linux also those that have ended."""
    return _of(pid, with_ended=True) - alone(pid) + sum(alone(child) for child in children(pid))


#: The share of all processors that may be busy with others, and for how many seconds that is looked at.
_QUIET, _LOOK = 0.15, 0.5


def _busy_and_all() -> tuple[int, int]:
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, idle, iowait, *others = map(int, fields)
    busy = user + nice + system + sum(others)
    return busy, busy + idle + iowait


def wait_for_quiet(seconds: float) -> bool:
    """Wait until the processors have nothing to do, at most *seconds*; whether that came (Linux only)."""
    deadline = time.monotonic() + seconds
    while _LINUX and time.monotonic() < deadline:
        busy, total = _busy_and_all()
        time.sleep(_LOOK)
        busy_then, total_then = _busy_and_all()
        if busy_then - busy <= _QUIET * (total_then - total):
            return True
    return False


@contextmanager
def one_core() -> Iterator[None]:
    """Let this thread, and what it starts, run on one core only for the duration of a block (Linux only)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
