"""How candles' figures are written for people."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal


def decimal(value: int, scale: int) -> str:
    """A stored integer as the decimal that it means, with all its decimals and without an exponent."""
    return f"{Decimal(value).scaleb(-scale):f}"


def when(moment: datetime) -> str:
    """To the minute, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M}"


def count(number: int, thing: str, things: str = "") -> str:
    """``1 minute``, ``2,000 minutes``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
