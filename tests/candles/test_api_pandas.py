"""The README's way from here into pandas, over a real connection."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources.base import VALUES
from tests.candles.helpers import instrument, walk

#: As the README has it.
EXAMPLE = """\
import pyarrow as pa, urllib.request
url = "http://127.0.0.1:8000/api/v1/candles?instrument=binance:BTC/USDT&timeframe=1h&format=arrow"
df = pa.ipc.open_stream(urllib.request.urlopen(url)).read_pandas().set_index("ts")
"""


@pytest.fixture
def market(shared_candles: None) -> Instrument:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(60_000, gaps=0.01))
    return market


def frame(address: str) -> pd.DataFrame:
    """What the example makes, run as it is against another server."""
    held: dict[str, Any] = {}
    assert len(EXAMPLE.splitlines()) == 3
    exec(EXAMPLE.replace("http://127.0.0.1:8000", address), held)
    made: pd.DataFrame = held["df"]
    return made


@pytest.mark.parametrize("count", [500, 5_000])
def test_three_lines_make_a_data_frame(
    live_server: Any, market: Instrument, settings: Any, count: int
) -> None:
    settings.CANDLES_DEFAULT_BARS = count
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
