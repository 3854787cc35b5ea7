"""Exact amounts: prices, quantities and balances as whole numbers of 10**-8."""

from __future__ import annotations

import re

from apps.stack.exchange.markets import MAX_DECIMALS, decimals, plain

#: One of whatever is counted.
UNIT = 100_000_000
_AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


class TooFine(ValueError):
    """A number with more than eight decimals."""


def parsed(text: str) -> int:
    """The amount that *text* spells. Raises ValueError, `TooFine` for too many decimals."""
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"not an amount: {text!r}")
    if decimals(text) > MAX_DECIMALS:
        raise TooFine(text)
    whole, _, fraction = text.partition(".")
    return int(whole) * UNIT + int(fraction[:MAX_DECIMALS].ljust(MAX_DECIMALS, "0"))


def printed(amount: int) -> str:
    """*amount* as the exchange prints it, with eight decimals."""
    return plain(amount, MAX_DECIMALS)


def product(price: int, quantity: int) -> int:
    """What *quantity* costs at *price*; what is finer than eight decimals is cut off."""
    return price * quantity // UNIT


def step(scale: int) -> int:
    """The smallest step of *scale* decimals."""
    return int(10 ** (MAX_DECIMALS - scale))
