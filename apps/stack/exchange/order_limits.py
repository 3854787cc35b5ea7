"""How many orders without a trade an account may place in a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.stack.exchange import trading_errors
from apps.stack.exchange.books import Books


@dataclass(frozen=True, kw_only=True)
class OrderLimit:
    """At most *limit* new orders in each span of *number* *interval*s, counted from 1970 on.

    Orders that have had a trade do not count.
    """

    interval: str
    number: int
    width_ms: int
    limit: int

    def described(self) -> dict[str, Any]:
        """Its entry in ``exchangeInfo``."""
        return {
            "rateLimitType": "ORDERS",
            "interval": self.interval,
            "intervalNum": self.number,
            "limit": self.limit,
        }


ORDER_LIMITS = (
    OrderLimit(interval="SECOND", number=10, width_ms=10_000, limit=100),
    OrderLimit(interval="DAY", number=1, width_ms=86_400_000, limit=200_000),
)


class OrderLimits:
    """Counts the orders in the books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._counted_from_ms = 0

    def forgive(self, *, now_ms: int) -> None:
        """Count no order that was placed up to now."""
        self._counted_from_ms = now_ms + 1

    def _used(self, account: int, limit: OrderLimit, now_ms: int) -> int:
        since_ms = max(now_ms - now_ms % limit.width_ms, self._counted_from_ms)
        return self._books.unfilled(account, since_ms)

    def check(self, account: int, *, now_ms: int) -> None:
        """Raise `ApiError` when *account* may not place another order now."""
        for limit in ORDER_LIMITS:
            if self._used(account, limit, now_ms) >= limit.limit:
                wait_ms = limit.width_ms - now_ms % limit.width_ms
                raise trading_errors.too_many_orders(
                    limit.limit, f"{limit.number} {limit.interval}", -(-wait_ms // 1000)
                )

    def headers(self, account: int, *, now_ms: int) -> tuple[tuple[str, str], ...]:
        """What an answer tells of the orders that count."""
        return tuple(
            (
                f"X-MBX-ORDER-COUNT-{limit.number}{limit.interval[0]}",
                str(self._used(account, limit, now_ms)),
            )
            for limit in ORDER_LIMITS
        )
