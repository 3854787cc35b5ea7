"""The quality gate: what is taken, exactly how, and what is rejected for which reason."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.candles.venues import CheckedMinutes, RejectedCandles, ScaleTooCoarse, check_minutes
from apps.candles.venues.quality import LIMIT, MAX_SCALE

MINUTE = 60_000
START = 1_700_000_040_000
END = START + 10 * MINUTE


def row(minute: int = 0, **values: Any) -> list[Any]:
    """A sound candle, but for *values*."""
    good = {"open": "10.5", "high": "11.25", "low": "10", "close": "10.75", "volume": "3.125"}
    return [START + minute * MINUTE, *(good | values).values()]


def check(rows: Sequence[Sequence[Any]], **settings: int) -> CheckedMinutes:
    defaults = {"start_ms": START, "end_ms": END, "now_ms": END, "price_scale": 2, "volume_scale": 3}
    return check_minutes(rows, **(defaults | settings))


def test_sound_minutes_become_scaled_integers() -> None:
    minutes = check([row(), row(1, close="10.01", volume="0")])
    assert minutes.ts.tolist() == [START, START + MINUTE]
    assert minutes.open.tolist() == [1050, 1050]
    assert minutes.high.tolist() == [1125, 1125]
    assert minutes.low.tolist() == [1000, 1000]
    assert minutes.close.tolist() == [1075, 1001]
    assert minutes.volume.tolist() == [3125, 0]
    assert (minutes.price_scale, minutes.volume_scale, len(minutes)) == (2, 3, 2)
    columns = (minutes.ts, minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume)
    assert {column.dtype for column in columns} == {np.dtype(np.int64)}


def test_no_minutes_are_sound() -> None:
    assert len(check([])) == 0
    assert check([]).ts.dtype == np.int64


def test_minutes_may_be_missing_between_others() -> None:
    assert check([row(0), row(7)]).ts.tolist() == [START, START + 7 * MINUTE]


@pytest.mark.parametrize(
    "spelling",
    ["10.50", "10.50000000", "1.05e1", "105E-1", "+10.5", "010.5", 10.5, Decimal("10.5"), " 10.5 "],
)
def test_a_number_may_be_spelled_in_many_ways(spelling: Any) -> None:
    assert check([row(open=spelling)]).open.tolist() == [1050]


def test_columns_after_the_sixth_are_ignored_and_an_open_time_may_be_text() -> None:
    opening, *values = row()
    assert len(check([[str(opening), *values, "more", None]])) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(1, close="NaN"), "close is not finite"),
        (row(1, high="Infinity"), "high is not finite"),
        (row(1, low="-inf"), "low is not finite"),
        (row(1, open=float("nan")), "open is not finite"),
        (row(1, open="abc"), "open is no number: 'abc'"),
        (row(1, open=""), "open is no number"),
        (row(1, open="."), "open is no number"),
        (row(1, open="1,5"), "open is no number"),
        (row(1, open="٣"), "open is no number"),
        (row(1, open="1_0.5"), "open is no number"),
        (row(1, open=None), "open is no number"),
        (row(1, open=True), "open is no number"),
        (row(1, open={"price": 1}), "open is no number"),
        (row(1, volume=[3]), "volume is no number"),
        (row(1, open="1" * 60), "open is no number"),
        (row(1, open="1e99"), "open is out of range"),
        (row(1, volume="1e-99"), "volume is out of range"),
        (row(1, low="0"), "low is zero"),
        (row(1, low="0.000"), "low is zero"),
        (row(1, low="-10"), "low is negative"),
        (row(1, open="-0.01"), "open is negative"),
        (row(1, volume="-1"), "volume is negative"),
        (row(1, high="9", low="10"), "has its high below its low"),
        (row(1, high="10.6"), "has its high below its open or close"),
        (row(1, open="11.26"), "has its high below its open or close"),
        (row(1, low="10.51"), "has its low above its open or close"),
        (row(1, close="9.999"), "has its low above its open or close"),
        (row(1)[:3], "has 3 of 6 columns"),
        (row(1)[:5], "has 5 of 6 columns"),
        (row(1, volume=str(LIMIT // 1000 + 1)), r"volume needs 2\*\*53 or more at 3 decimals"),
        (row(1, high="90071992547409.92"), r"high needs 2\*\*53 or more at 2 decimals"),
        (row(1, volume="0.0000000000000000001"), "volume has more than 18 decimals"),
        (row(1, open="10.12345678901234567"), r"open needs 2\*\*53 or more at 17 decimals"),
    ],
)
def test_an_unsound_candle_is_rejected_with_its_minute(bad: list[Any], reason: str) -> None:
    with pytest.raises(RejectedCandles, match=reason) as rejected:
        check([row(0), bad, row(2, close="NaN")])
    assert type(rejected.value) is RejectedCandles
    assert rejected.value.ts == START + MINUTE
    assert rejected.value.retry_after is None
    assert str(START + MINUTE) in str(rejected.value)


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (START + 1, "does not open on a minute"),
        (START + 2 * MINUTE, "comes twice"),
        (START + MINUTE, "is out of order"),
        (START - MINUTE, "is out of order"),
        (END, "still forming"),
        (END + 60 * MINUTE, "in the future"),
    ],
)
def test_a_minute_in_the_wrong_place_is_rejected(opening: int, reason: str) -> None:
    moved = [opening, *row()[1:]]
    with pytest.raises(RejectedCandles, match=reason) as rejected:
        check([row(0), row(2), moved, row(3)])
    assert rejected.value.ts == opening


@pytest.mark.parametrize("opening", [START - MINUTE, END])
def test_a_minute_outside_of_the_range_is_rejected(opening: int) -> None:
    with pytest.raises(RejectedCandles, match="outside of the range") as rejected:
        check([[opening, *row()[1:]]], now_ms=END + 5 * MINUTE)
    assert rejected.value.ts == opening


def test_a_minute_counts_as_ended_with_its_last_millisecond() -> None:
    assert len(check([row(3)], now_ms=START + 4 * MINUTE)) == 1
    with pytest.raises(RejectedCandles, match="still forming"):
        check([row(3)], now_ms=START + 4 * MINUTE - 1)


@pytest.mark.parametrize("opening", ["soon", None, 1.5, True, "", "-60000"])
def test_a_row_without_an_open_time_is_rejected(opening: Any) -> None:
    with pytest.raises(RejectedCandles, match="without an open time") as rejected:
        check([row(0), [opening, *row()[1:]]])
    assert rejected.value.ts is None


def test_an_empty_row_is_rejected() -> None:
    with pytest.raises(RejectedCandles):
        check([[]])


def test_finer_values_name_the_scales_that_the_whole_batch_needs() -> None:
    batch = [row(0), row(1, close="10.7525"), row(2, close="10.125", volume="0.12345")]
    with pytest.raises(ScaleTooCoarse, match="close has 4 decimals: scale 4 is needed, not 2") as coarse:
        check(batch)
    assert coarse.value.ts == START + MINUTE
    assert (coarse.value.price_scale, coarse.value.volume_scale) == (4, 5)
    minutes = check(batch, price_scale=4, volume_scale=5)
    assert minutes.close.tolist() == [107500, 107525, 101250]
    assert minutes.volume.tolist() == [312500, 312500, 12345]


def test_no_scale_is_asked_for_on_behalf_of_an_unsound_batch() -> None:
    with pytest.raises(RejectedCandles, match="low is zero") as rejected:
        check([row(0, close="10.7525"), row(1, low="0")])
    assert type(rejected.value) is RejectedCandles


def test_a_scale_that_other_values_would_not_survive_is_not_asked_for() -> None:
    with pytest.raises(RejectedCandles, match=r"volume has 9 decimals: .* need 2\*\*53") as rejected:
        check([row(0, volume="100000000"), row(1, volume="0.000000001")])
    assert type(rejected.value) is RejectedCandles
    assert rejected.value.ts == START + MINUTE


def test_the_largest_number_that_is_exact_is_taken() -> None:
    whole = check(
        [row(open="10", high=str(LIMIT - 1), close="11", volume=str(LIMIT - 1))],
        price_scale=0,
        volume_scale=0,
    )
    assert whole.high.tolist() == whole.volume.tolist() == [LIMIT - 1]


@st.composite
def candles(draw: st.DrawFn) -> tuple[list[list[str]], list[tuple[int, ...]], int, int]:
    """Candles as text, the integers that they must become, and the two scales."""
    price_scale, volume_scale = draw(st.integers(0, 10)), draw(st.integers(0, 10))
    integers: list[tuple[int, ...]] = []
    texts: list[list[str]] = []
    for _ in range(draw(st.integers(1, 5))):
        prices = sorted(draw(st.lists(st.integers(1, LIMIT - 1), min_size=4, max_size=4)))
        low, first, second, high = prices
        opening, close = draw(st.permutations([first, second]))
        units = (opening, high, low, close, draw(st.integers(0, LIMIT - 1)))
        integers.append(units)
        texts.append(
            [
                draw(spelling(value, scale))
                for value, scale in zip(units, [price_scale] * 4 + [volume_scale], strict=True)
            ]
        )
    return texts, integers, price_scale, volume_scale


def spelling(value: int, scale: int) -> st.SearchStrategy[str]:
    """Ways to write ``value * 10**-scale``."""
    exact = Decimal(value).scaleb(-scale)
    plain = f"{exact:f}"
    padded = plain + ("0" * 5 if "." in plain else ".00000")
    return st.sampled_from([plain, padded, f"{exact:e}", f"{exact.normalize():f}"])


@given(candles())
def test_the_integers_are_exactly_what_the_text_says(
    drawn: tuple[list[list[str]], list[tuple[int, ...]], int, int],
) -> None:
    texts, integers, price_scale, volume_scale = drawn
    minutes = check(
        [[START + index * MINUTE, *text] for index, text in enumerate(texts)],
        price_scale=price_scale,
        volume_scale=volume_scale,
    )
    columns = (minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == integers


@given(
    st.integers(0, MAX_SCALE),
    st.integers(1, 10**6),
    st.integers(1, MAX_SCALE),
)
def test_a_finer_value_is_never_rounded(scale: int, digits: int, decimals: int) -> None:
    volume = Decimal(digits).scaleb(-decimals)
    needed = max(0, -int(volume.normalize().as_tuple().exponent))
    candle = row(volume=f"{volume:f}")
    if needed <= scale and digits * 10 ** (scale - decimals) < LIMIT:
        assert check([candle], volume_scale=scale).volume.tolist() == [int(volume.scaleb(scale))]
    else:
        with pytest.raises(RejectedCandles) as rejected:
            check([candle], volume_scale=scale)
        if needed > scale:
            assert isinstance(rejected.value, ScaleTooCoarse)
            assert rejected.value.volume_scale == needed


@given(st.floats(min_value=1e-6, max_value=1e6, allow_nan=False))
def test_a_float_means_its_shortest_decimal(value: float) -> None:
    decimal = Decimal(repr(value))
    decimals = max(0, -int(decimal.normalize().as_tuple().exponent))
    try:
        minutes = check([row(volume=value)], volume_scale=decimals)
    except RejectedCandles:
        assert decimals > MAX_SCALE or decimal.scaleb(decimals) >= LIMIT
    else:
        assert minutes.volume.tolist() == [int(decimal.scaleb(decimals))]
        assert minutes.volume[0] / 10.0**decimals == value
