"""The outcome of a run as a table for people and as JSON for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.figures import Row

_HEAD = ("name", "ours", "peer", "unit", "ratio", "goal", "holds")
#: What of PostgreSQL's configuration bears on the figures.
_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
)


def machine() -> dict[str, Any]:
    """What the figures depend on: processor and memory, how busy they are, Python, and PostgreSQL with how it
    is configured.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", [list(_SETTINGS)]
        )
        settings = dict(cursor.fetchall())
        cursor.execute("SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'")
        timescaledb = cursor.fetchone()
    return {
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "postgresql": settings,
        "timescaledb": timescaledb[0] if timescaledb else None,
    }


def _processor() -> str:
    """Its maker's name for it where the system tells, else its architecture."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def number(value: float) -> str:
    """Three significant digits, or whole from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(rows: Sequence[Row]) -> str:
    """One line for each figure."""
    lines = [_HEAD]
    for row in rows:
        figure = row.figure
        lines.append(
            (
                figure.name,
                number(median(row.ours)),
                number(median(row.peer)),
                figure.unit,
                f"{row.ratio:.2f}",
                "" if figure.goal is None else str(figure.goal),
                {True: "yes", False: "NO", None: ""}[row.holds],
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    text = []
    for line in lines:
        cells = [
            cell.rjust(width) if column in (1, 2, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def legend(rows: Sequence[Row]) -> str:
    """What each name stands for."""
    width = max((len(row.figure.name) for row in rows), default=0)
    return "\n".join(
        f"{row.figure.name.ljust(width)}  {row.figure.what}; peer: {row.figure.peer}"
        + (f"; {row.remark}" if row.remark else "")
        for row in rows
    )


def omissions(left_out: Mapping[str, str]) -> str:
    """Why figures are not there: *left_out* holds the reason by the figure's name."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    return "\n".join(f"left out: {', '.join(names)}: {reason}" for reason, names in by_reason.items())


def conditions(found: dict[str, Any]) -> str:
    """`machine` in one line."""
    settings = dict(found["postgresql"])
    version = settings.pop("server_version")
    listed = ", ".join(f"{name} {value}" for name, value in settings.items())
    cores = f"{found['cores']} cores of {found['processor']} (load {found['load']:g})"
    extension = f", TimescaleDB {found['timescaledb']}" if found["timescaledb"] else ""
    return (
        f"{cores}, {found['memory_gib']} GiB, Python {found['python']}, "
        f"PostgreSQL {version} ({listed}){extension}"
    )
