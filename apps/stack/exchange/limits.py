"""Request weights: what each address has used this minute, and what happens when it is too much."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from apps.stack.exchange.errors import ApiError

WEIGHT_PER_MINUTE = 6000
# Requests after the first refusal in a minute, before the address is banned.
_PATIENCE = 10
_FIRST_BAN_MS = 120_000
_LONGEST_BAN_MS = 3 * 86_400_000
_MINUTE_MS = 60_000


@dataclass(kw_only=True)
class _Account:
    """What one address has done in the minute it was last seen in."""

    minute: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_ms: int = 0


class WeightLimiter:
    """Counts weights per address in whole minutes of the server's clock. Safe for many threads.

    Over the limit a request is refused with 429 and told to come back in the next minute; an address
    that goes on is banned with 418, at first for two minutes, each time twice as long.
    """

    def __init__(self, limit: int = WEIGHT_PER_MINUTE) -> None:
        self.limit = limit
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    def charge(self, address: str, weight: int, *, now_ms: int) -> int:
        """Take *weight* from what *address* may use this minute; return what it has used.

        Raises `ApiError` with status 429 or 418 and ``retry_after`` in seconds.
        """
        with self._lock:
            account = self._accounts.setdefault(address, _Account())
            if now_ms < account.banned_until_ms:
                raise self._banned(account, now_ms)
            minute, elapsed = divmod(now_ms, _MINUTE_MS)
            if minute != account.minute:
                account.minute, account.used, account.refused = minute, 0, 0
            account.used += weight
            if account.used <= self.limit:
                return account.used
            account.refused += 1
            if account.refused > _PATIENCE:
                account.banned_until_ms = now_ms + min(
                    _FIRST_BAN_MS << min(account.bans, 20), _LONGEST_BAN_MS
                )
                account.bans += 1
                raise self._banned(account, now_ms)
            raise ApiError(
                -1003,
                f"Too much request weight used; current limit is {self.limit} request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API.",
                status=429,
                retry_after=-(-(_MINUTE_MS - elapsed) // 1000),
            )

    def used(self, address: str, *, now_ms: int) -> int:
        """What *address* has used in the present minute."""
        with self._lock:
            account = self._accounts.get(address)
            return account.used if account is not None and account.minute == now_ms // _MINUTE_MS else 0

    def forgive(self) -> None:
        """Forget what addresses have used, and their bans."""
        with self._lock:
            self._accounts.clear()

    def _banned(self, account: _Account, now_ms: int) -> ApiError:
        return ApiError(
            -1003,
            f"Way too much request weight used; IP banned until {account.banned_until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
            status=418,
            retry_after=-(-(account.banned_until_ms - now_ms) // 1000),
        )
