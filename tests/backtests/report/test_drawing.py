"""What is kept of candles for reports."""

from __future__ import annotations

import json

import numpy as np
import pytest

from apps.backtests.engine import Bars
from apps.backtests.report.curves import POINTS
from apps.backtests.report.drawing import decode_drawing, drawing_of, encode_drawing
from tests.backtests.report.running import NEW_YEAR, walk


@pytest.mark.parametrize(
    "bars",
    [
        [walk(300)],
        [walk(12_345), walk(700, seed=2, start=NEW_YEAR + 600_000), walk(1, seed=3)],
        [walk(20), walk(0)],
    ],
    ids=["one", "several", "one without any"],
)
def test_a_drawing_comes_back_to_the_bit(bars: list[Bars]) -> None:
    drawing = drawing_of(bars, 10_000.0)
    again = decode_drawing(encode_drawing(drawing))
    assert json.dumps([*again.prices, again.buy_hold, again.bars, again.step]) == json.dumps(
        [*drawing.prices, drawing.buy_hold, drawing.bars, drawing.step]
    )
    assert [len(one["ts"]) for one in again.prices] == [
        -(-len(one) // max(1, -(-len(one) // POINTS))) for one in bars
    ]
    assert (again.buy_hold is None) == (not all(map(len, bars)))


def test_a_year_of_minutes_takes_little_room(year: Bars) -> None:
    """With prices in cents, as exchanges have them: a third less than its columns take as they are."""
    cents = {name: np.round(getattr(year, name), 2) for name in ("open", "high", "low", "close")}
    drawing = drawing_of(
        [Bars(ts=year.ts, volume=np.round(year.volume, 5), step=year.step, **cents)], 10_000.0
    )
    columns = [*drawing.prices[0].values(), *(drawing.buy_hold or {}).values()]
    room = sum(8 * len(column) for column in columns if isinstance(column, list))
    assert 300_000 < room <= 8 * 8 * POINTS
    assert len(encode_drawing(drawing)) < 2 / 3 * room
