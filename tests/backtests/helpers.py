"""What tests of the backtest service share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.candles.storage.writer import write_candles
from apps.tasks.testing import run_pending
from tests.candles.helpers import instrument, walk

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 4
END = START + timedelta(days=DAYS)
MS = int(START.timestamp() * 1000)


def market(symbol: str = "BTC/USDT", *, seed: int = 7, start: datetime = START, days: int = DAYS) -> str:
    """A new instrument with minutes of a random walk."""
    made = instrument(symbol)
    first = int(start.timestamp() * 1000)
    write_candles(instrument=made, minutes=walk(days * 1440, start=first, seed=seed))
    return made.text


def body(market: str, **changes: Any) -> dict[str, Any]:
    """What to post; a change to None leaves the part out."""
    content = {
        "instrument": market,
        "timeframe": "15m",
        "start": START.isoformat(),
        "end": END.isoformat(),
        "strategy": "sma_cross",
        "params": {"fast": 5, "slow": 20},
        "costs": {"taker": 0.001},
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def post(api: Any, content: Any, **headers: str) -> Any:
    """Ask for a backtest."""
    return api.post("/api/v1/backtests", content, content_type="application/json", headers=headers)


def finished(api: Any, content: dict[str, Any]) -> dict[str, Any]:
    """A backtest that was asked for and has run: its answer."""
    accepted = post(api, content)
    assert accepted.status_code == 202, accepted.content
    run_pending()
    answer: dict[str, Any] = api.get(accepted.json()["url"]).json()
    assert answer["state"] == "succeeded", answer
    return answer


def nothing_heavy(*_: Any) -> None:
    """In place of `selectors.read_heavy` where nothing megabytes long may be read."""
    pytest.fail("a heavy column is read")


def trades(api: Any, answer: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """A page of its trades."""
    page: list[dict[str, Any]] = api.get(answer["trades_url"], query).json()["trades"]
    return page
