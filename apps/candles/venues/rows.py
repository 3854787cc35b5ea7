"""Minutes as an exchange sends them, before anybody has judged them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apps.candles.quality.rows import Row


@dataclass(frozen=True, kw_only=True)
class RawMinutes:
    """The rows of a range as an exchange sent them, oldest first: nothing sorted, dropped or believed.

    They answer the request for [*start_ms*, *end_ms*), whose end is not after the last minute that had
    ended at *now_ms*, the exchange's time. The start is later than what was asked for where the exchange
    does not have older minutes any more. Values are the exchange's own decimal text.
    """

    symbol: str
    start_ms: int
    end_ms: int
    now_ms: int
    pages: int
    rows: tuple[Row, ...]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
