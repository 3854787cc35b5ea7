"""How figures are written for people."""

from __future__ import annotations

from typing import Any

_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))


def seconds(value: float | None) -> str:
    """A duration in one or two units: ``12 ms``, ``3.4 s``, ``2 m 5 s``, ``3 d 4 h``. Empty for None."""
    if value is None:
        return ""
    for size, unit, part, sub in _UNITS:
        if value >= size:
            rest = int(value % size // part)
            return f"{int(value // size)} {unit}" + (f" {rest} {sub}" if rest else "")
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def age(value: float | None) -> str:
    """A duration to the second, for what has no use for parts of one: ``22 s``. Empty for None."""
    if value is None:
        return ""
    return f"{max(0, round(value))} s" if value < 59.5 else seconds(round(value))


def rate(value: float) -> str:
    """So many per second."""
    if value == 0:
        return ""
    return f"{value:.1f}/s" if value >= 0.1 else f"{60 * value:.1f}/min"


def share(value: float | None) -> str:
    """A share in per cent; empty for None."""
    return "" if value is None else f"{100 * value:.1f} %"


def count(value: int) -> str:
    """A number; empty for none, so that what there is stands out."""
    return f"{value:,}" if value else ""


def runs(number: int) -> str:
    """So many runs."""
    return f"{number:,} run" + ("" if number == 1 else "s")


def error(value: dict[str, Any] | None) -> str:
    """An error in one line."""
    if not value:
        return ""
    lines = str(value.get("message", "")).strip().splitlines()
    return f"{value.get('type')}: {lines[0]}" if lines else str(value.get("type"))


def share_done(progress: dict[str, Any] | None) -> float | None:
    """How far a run says it is, from 0 to 1; None where it says nothing."""
    try:
        done, total = float(progress["done"]), float(progress["total"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None
    return min(max(done / total, 0.0), 1.0) if total > 0 else None
