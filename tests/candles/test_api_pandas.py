"""The README's way from here into pandas, over a real connection."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.conf import settings

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources.base import VALUES
from tests.candles.helpers import instrument, walk

README = (Path(settings.BASE_DIR) / "README.md").read_text()
#: As the README has it: three lines.
[EXAMPLE] = [
    block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "read_pandas" in block
]


@pytest.fixture
def market(shared_candles: None) -> Instrument:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(60_000, gaps=0.01))
    return market


def frame(address: str) -> pd.DataFrame:
    """What the example makes, run as it is against another server."""
    held: dict[str, Any] = {}
    assert len([line for line in EXAMPLE.splitlines() if line]) == 3
    exec(EXAMPLE.replace("http://127.0.0.1:8000", address), held)
    made: pd.DataFrame = held["df"]
    return made


@pytest.mark.parametrize("count", [500, 5_000])
def test_three_lines_make_a_data_frame(
    live_server: Any, market: Instrument, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(settings, "CANDLES_DEFAULT_BARS", count, raising=False)
    df = frame(live_server.url)
    minutes = walk(60_000, gaps=0.01)
    raw = pd.DataFrame(
        {name: getattr(minutes, name) / (10**5 if name == "volume" else 100) for name in VALUES},
        index=pd.to_datetime(minutes.ts, unit="ms", utc=True),
    )
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    expected = raw.resample("1h").agg(how).iloc[-count:]
    assert list(df.columns) == ["instrument", *VALUES]
    assert set(df["instrument"]) == {"binance:BTC/USDT"}
    assert df.index.tolist() == expected.index.tolist()
    for name in how:
        assert df[name].tolist() == expected[name].tolist()
