"""The outcome of a run as a table for people and as JSON for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
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
    """What the figures depend on: cores, how busy they are, Python, and how PostgreSQL is configured."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", [list(_SETTINGS)]
        )
        settings = dict(cursor.fetchall())
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "postgresql": settings,
    }


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
    cores = f"{found['cores']} cores (load {found['load']:g})"
    return f"{cores}, Python {found['python']}, PostgreSQL {version} ({listed})"
