"""What tests of ``manage.py candles`` share."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

from apps.candles.sources import VALUES
from tests.candles.helpers import Arrays


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command wrote, and how it ended."""

    out: str
    err: str
    status: int
    #: The error that it ended with; empty where it did well.
    error: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def candles(*arguments: Any) -> Said:
    """``manage.py candles`` with these arguments."""
    out, err = StringIO(), StringIO()
    status, error = 0, ""
    try:
        call_command("candles", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as exc:
        status, error = exc.returncode, str(exc)
    return Said(out=out.getvalue(), err=err.getvalue(), status=status, error=error)


def iso(moment: datetime) -> str:
    return moment.isoformat()


def rows(minutes: Arrays) -> list[list[Any]]:
    """Minutes as a file has them: milliseconds, and decimals as text."""
    made = []
    for ts, *values in zip(minutes.ts, *(getattr(minutes, name) for name in VALUES), strict=True):
        scales = [minutes.price_scale] * 4 + [minutes.volume_scale]
        made.append([int(ts), *(decimal(int(v), scale) for v, scale in zip(values, scales, strict=True))])
    return made


def decimal(value: int, scale: int) -> str:
    digits = str(value).zfill(scale + 1)
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


def write_csv(path: Path, lines: list[list[Any]], header: str = "ts,open,high,low,close,volume") -> Path:
    with path.open("w", newline="") as file:
        if header:
            file.write(header + "\n")
        csv.writer(file).writerows(lines)
    return path


def rejects(path: Path) -> list[list[str]]:
    """The file of rejects beside *path*, without its header."""
    with path.with_name(f"{path.name}.rejects.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["line", "reason", "message", "raw"]
    return lines
