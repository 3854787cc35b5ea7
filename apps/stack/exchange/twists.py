"""How the market may treat an order or a cancellation, where a fault was ordered for it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Twist:
    """What is odd about the next order or cancellation.

    What an order takes at once comes in *trades* trades, each a step dearer or cheaper. With *share*, only
    that share of the quantity is filled at once, and the rest after *reads* reads or, when None, never.
    With *fills_first*, an order that is to be cancelled fills in that instant.
    """

    trades: int = 1
    share: Decimal | None = None
    reads: int | None = None
    fills_first: bool = False


PLAIN = Twist()
