"""How much processor time processes have used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
