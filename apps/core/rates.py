"""Rates as people write them."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TEXT = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{0,9})\s*([smhd])\s*")


def parse_rate(text: str) -> tuple[int, int]:
    """How many, and in how many seconds: ``1200/m``, ``10/s``, ``5/30s``, ``1/2d``. Raises `ValueError`."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no rate: write it as 1200/m, 10/s or 5/30s")
    limit, count, unit = found.groups()
    return int(limit), int(count or 1) * _UNITS[unit]


def rate_text(limit: int, seconds: int) -> str:
    """That rate in the largest unit that its time is a multiple of."""
    unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
    count = seconds // _UNITS[unit]
    return f"{limit}/{'' if count == 1 else count}{unit}"
