"""Minutes as an exchange or a file has them, before anybody has judged them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MINUTE_MS = 60_000

#: Open time (ms), open, high, low, close and volume, if it is as it should be.
Row = Sequence[Any]

#: What a row holds after its open time; the first `PRICES` of them are prices.
NAMES = ("open", "high", "low", "close", "volume")
PRICES = 4
WIDTH = 1 + len(NAMES)

#: Text of more characters than this is not looked at: no number that can be stored needs them.
LONGEST_TEXT = 40


def open_time(row: Row) -> int | None:
    """A row's open time in milliseconds, None when there is none that is a whole number."""
    value = row[0] if row else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isascii() and value.isdigit():
        return int(value)
    return None
