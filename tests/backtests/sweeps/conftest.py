"""Candles and people that ask for sweeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.candles.storage.writer import write_candles
from apps.tasks.testing import run_pending
from tests.candles.conftest import shared_candles as shared_candles
from tests.candles.helpers import instrument, walk

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 12
END = START + timedelta(days=DAYS)
#: Days for who looks at no figures.
FEW = 2
#: Combinations of `body`: fast >= slow for 13 and 10 alone.
KEPT, REFUSED = 19, 1


def store(symbol: str = "BTC/USDT", *, seed: int = 7, days: int = DAYS) -> str:
    """Some days of minutes of a random walk; the name of their instrument."""
    market = instrument(symbol)
    write_candles(
        instrument=market, minutes=walk(days * 1440, start=int(START.timestamp() * 1000), seed=seed)
    )
    return market.text


@pytest.fixture
def stored(db: Any) -> str:
    """`DAYS` of minutes."""
    return store()


@pytest.fixture
def few(db: Any) -> str:
    """`FEW` days of minutes, for `brief`."""
    return store(days=FEW)


@pytest.fixture
def bare(db: Any) -> str:
    """An instrument without candles, for what is refused before any is read."""
    return instrument("BTC/USDT").text


@pytest.fixture
def small_chunks(settings: Any) -> None:
    """Chunks of few combinations, compiled or not."""
    settings.BACKTESTS_SWEEP_CHUNK_WORK = 4 * DAYS * 24 * 25


@pytest.fixture
def alice(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("alice", "alice@example.com", "x")


@pytest.fixture
def api(client: Any, alice: Any) -> Any:
    client.force_login(alice)
    return client


def body(market: str, **changes: Any) -> dict[str, Any]:
    """A request of 20 combinations; None leaves a field out."""
    content = {
        "instrument": market,
        "timeframe": "1h",
        "start": START.isoformat(),
        "end": END.isoformat(),
        "strategy": "sma_cross",
        "params": {"direction": "long_short"},
        "costs": {"taker": 0.0005},
        "space": {"fast": [2, 3, 5, 8, 13], "slow": {"from": 10, "to": 40, "step": 10}},
        "best": 3,
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def brief(market: str, **changes: Any) -> dict[str, Any]:
    """The same over `FEW` days."""
    return body(market, **{"end": (START + timedelta(days=FEW)).isoformat(), **changes})


def run_some(count: int) -> None:
    """Execute so many of the runs that are due, and not all of them."""
    with pytest.raises(RuntimeError, match="still due"):
        run_pending(limit=count)


def post(api: Any, content: Any, **headers: Any) -> Any:
    return api.post("/api/v1/sweeps", content, content_type="application/json", **headers)
