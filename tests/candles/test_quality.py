"""The quality gate: what is taken, exactly how, and which rows are rejected for which reason."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.candles.quality import LIMIT, MAX_SCALE, CheckedMinutes, Reason, Rejected, Sifted, sift_minutes

MINUTE = 60_000
START = 1_700_000_040_000
END = START + 10 * MINUTE


def row(minute: int = 0, **values: Any) -> list[Any]:
    """A sound candle, but for *values*."""
    good = {"open": "10.5", "high": "11.25", "low": "10", "close": "10.75", "volume": "3.125"}
    return [START + minute * MINUTE, *(good | values).values()]


def sift(rows: Sequence[Sequence[Any]], **settings: Any) -> Sifted:
    defaults = {"start_ms": START, "end_ms": END, "now_ms": END, "price_scale": 2, "volume_scale": 3}
    return sift_minutes(rows, **(defaults | settings))


def check(rows: Sequence[Sequence[Any]], **settings: Any) -> CheckedMinutes:
    """The minutes of a batch of which nothing is rejected."""
    sifted = sift(rows, **settings)
    assert sifted.rejected == []
    return sifted.minutes


def places(sifted: Sifted) -> list[tuple[int, Reason]]:
    return [(one.place, one.reason) for one in sifted.rejected]


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
    ("bad", "reason", "message"),
    [
        (row(1, close="NaN"), Reason.NOT_FINITE, "close is not finite"),
        (row(1, high="Infinity"), Reason.NOT_FINITE, "high is not finite"),
        (row(1, low="-inf"), Reason.NOT_FINITE, "low is not finite"),
        (row(1, open=float("nan")), Reason.NOT_FINITE, "open is not finite"),
        (row(1, open=Decimal("sNaN")), Reason.NOT_FINITE, "open is not finite"),
        (row(1, open="abc"), Reason.NOT_A_NUMBER, "open is no number: 'abc'"),
        (row(1, open=""), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open="."), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open="1.2.3"), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open="1,5"), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open="10\n11"), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open="\u0663"), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open="1_0.5"), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open=None), Reason.NOT_A_NUMBER, "open is no number: 'None'"),
        (row(1, open=True), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, open={"price": 1}), Reason.NOT_A_NUMBER, "open is no number"),
        (row(1, volume=[3]), Reason.NOT_A_NUMBER, "volume is no number"),
        (row(1, volume=np.int64(3)), Reason.NOT_A_NUMBER, "volume is no number"),
        (row(1, open="ab" * 30), Reason.NOT_A_NUMBER, "open has more than 40 characters"),
        (row(1, open="1" * 60), Reason.OUT_OF_RANGE, "open has more than 40 characters"),
        (row(1, open=10**5000), Reason.OUT_OF_RANGE, "open has more than 40 digits"),
        (row(1, open="1e99"), Reason.OUT_OF_RANGE, "open is out of range"),
        (row(1, volume="1e-99"), Reason.OUT_OF_RANGE, "volume is out of range"),
        (row(1, low="0"), Reason.ZERO_PRICE, "low is zero"),
        (row(1, low="0.000"), Reason.ZERO_PRICE, "low is zero"),
        (row(1, low=-0.0), Reason.ZERO_PRICE, "low is zero"),
        (row(1, low="-10"), Reason.NEGATIVE, "low is negative"),
        (row(1, open=-0.01), Reason.NEGATIVE, "open is negative"),
        (row(1, volume=-1), Reason.NEGATIVE, "volume is negative"),
        (row(1, high="9", low="10"), Reason.HIGH_BELOW_LOW, "has its high below its low"),
        (row(1, high="10.6"), Reason.HIGH_BELOW_BODY, "has its high below its open or close"),
        (row(1, open="11.26"), Reason.HIGH_BELOW_BODY, "has its high below its open or close"),
        (row(1, low="10.51"), Reason.LOW_ABOVE_BODY, "has its low above its open or close"),
        (row(1, close="9.999"), Reason.LOW_ABOVE_BODY, "has its low above its open or close"),
        (row(1)[:3], Reason.SHORT_ROW, "has 3 of 6 columns"),
        (row(1)[:5], Reason.SHORT_ROW, "has 5 of 6 columns"),
        (
            row(1, volume=str(LIMIT // 1000 + 1)),
            Reason.OUT_OF_RANGE,
            "volume needs 2**53 or more at 3 decimals",
        ),
        (row(1, high="90071992547409.92"), Reason.OUT_OF_RANGE, "high needs 2**53 or more at 2 decimals"),
        (row(1, volume="0.0000000000000000001"), Reason.TOO_MANY_DECIMALS, "volume has more than 18"),
        (row(1, open="10.12345678901234567"), Reason.OUT_OF_RANGE, "open needs 2**53 or more at 17"),
    ],
)
def test_an_unsound_candle_is_rejected_with_its_reason_and_the_others_are_kept(
    bad: list[Any], reason: Reason, message: str
) -> None:
    sifted = sift([row(0), bad, row(2)])
    assert sifted.minutes.ts.tolist() == [START, START + 2 * MINUTE]
    assert (sifted.minutes.price_scale, sifted.minutes.volume_scale) == (2, 3)
    [rejected] = sifted.rejected
    assert (rejected.place, rejected.ts, rejected.reason) == (1, START + MINUTE, reason)
    assert rejected.message.startswith(message)
    assert len(rejected.row) == len(bad)


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (START + 1, Reason.NOT_ON_MINUTE),
        (START - MINUTE, Reason.OUTSIDE_RANGE),
        (END - MINUTE, Reason.OUTSIDE_RANGE),
        (END, Reason.FORMING),
        (END + 60 * MINUTE, Reason.FUTURE),
        (60_000 * 10**30, Reason.FUTURE),
        (-60_000 * 10**30, Reason.OUTSIDE_RANGE),
    ],
)
def test_a_minute_in_the_wrong_place_is_rejected(opening: int, reason: Reason) -> None:
    sifted = sift([row(0), [opening, *row()[1:]], row(3)], end_ms=END - MINUTE)
    assert places(sifted) == [(1, reason)]
    assert sifted.rejected[0].ts == opening
    assert len(sifted.minutes) == 2


def test_a_range_may_be_open_but_not_before_1970() -> None:
    rows = [[ts, *row()[1:]] for ts in (-MINUTE, 0, START - MINUTE, END - MINUTE)]
    sifted = sift(rows, start_ms=None, end_ms=None)
    assert places(sifted) == [(0, Reason.OUTSIDE_RANGE)]
    assert sifted.minutes.ts.tolist() == [0, START - MINUTE, END - MINUTE]


def test_a_minute_counts_as_ended_with_its_last_millisecond() -> None:
    assert len(check([row(3)], now_ms=START + 4 * MINUTE)) == 1
    assert places(sift([row(3)], now_ms=START + 4 * MINUTE - 1)) == [(0, Reason.FORMING)]


@pytest.mark.parametrize("opening", ["soon", None, 1.5, True, "", "-60000", "1.5", "6e4", "9" * 5000])
def test_a_row_without_an_open_time_is_rejected(opening: Any) -> None:
    sifted = sift([row(0), [opening, *row()[1:]]])
    assert places(sifted) == [(1, Reason.NO_TIME)]
    assert sifted.rejected[0].ts is None
    assert len(sifted.minutes) == 1


def test_an_empty_row_is_rejected() -> None:
    assert sift([[]]).rejected == [
        Rejected(place=0, ts=None, row=(), reason=Reason.SHORT_ROW, message="has 0 of 6 columns")
    ]


@pytest.mark.parametrize("rubbish", [None, 7, "a row", {"ts": START}])
def test_what_is_no_row_is_rejected(rubbish: Any) -> None:
    sifted = sift([row(0), rubbish, row(1)])
    assert places(sifted) == [(1, Reason.SHORT_ROW)]
    assert sifted.rejected[0].row == (rubbish,)
    assert len(sifted.minutes) == 2


def test_rows_may_come_in_any_order() -> None:
    minutes = check([row(5), row(0, volume="1"), row(9), row(2)])
    assert minutes.ts.tolist() == [START + minute * MINUTE for minute in (0, 2, 5, 9)]
    assert minutes.volume.tolist() == [1000, 3125, 3125, 3125]


def test_a_repeated_row_is_kept_once_however_it_is_spelled() -> None:
    sifted = sift([row(1), row(0), row(1, open="10.500"), row(1, volume=3.125)])
    assert places(sifted) == [(2, Reason.DUPLICATE), (3, Reason.DUPLICATE)]
    assert len(sifted.minutes) == 2


def test_all_rows_that_contradict_each_other_are_rejected() -> None:
    sifted = sift([row(1), row(0), row(1), row(1, volume="3.126"), row(2)])
    assert places(sifted) == [(place, Reason.CONFLICT) for place in (0, 2, 3)]
    assert sifted.minutes.ts.tolist() == [START, START + 2 * MINUTE]


def test_an_unsound_row_contradicts_nobody() -> None:
    sifted = sift([row(1, close="NaN"), row(1)])
    assert places(sifted) == [(0, Reason.NOT_FINITE)]
    assert len(sifted.minutes) == 1


def test_scales_become_as_fine_as_the_sound_rows_need() -> None:
    minutes = check([row(0), row(1, close="10.7525"), row(2, close="10.125", volume="0.12345")])
    assert (minutes.price_scale, minutes.volume_scale) == (4, 5)
    assert minutes.close.tolist() == [107500, 107525, 101250]
    assert minutes.volume.tolist() == [312500, 312500, 12345]


def test_scales_stay_as_they_are_for_rejected_rows_and_zeros_at_the_end() -> None:
    sifted = sift([row(0, close="10.7525", low="0"), row(1, close="10.12000000")])
    assert places(sifted) == [(0, Reason.ZERO_PRICE)]
    assert (sifted.minutes.price_scale, sifted.minutes.close.tolist()) == (2, [1012])


def test_one_fine_row_does_not_take_many_along() -> None:
    sifted = sift([row(0, volume="100000000"), row(1, volume="0.000000001"), row(2, volume="200000000")])
    assert places(sifted) == [(1, Reason.TOO_MANY_DECIMALS)]
    assert sifted.rejected[0].message.startswith("volume has 9 decimals")
    assert sifted.minutes.volume_scale == 3
    assert sifted.minutes.volume.tolist() == [10**11, 2 * 10**11]


def test_one_large_row_does_not_take_many_along() -> None:
    rows = [row(0, high="900719925474"), *(row(minute, low="0.00001234") for minute in (1, 2, 3))]
    sifted = sift(rows)
    assert places(sifted) == [(0, Reason.OUT_OF_RANGE)]
    assert sifted.rejected[0].message == "high needs 2**53 or more at the 8 decimals of other rows"
    assert (sifted.minutes.price_scale, sifted.minutes.low.tolist()) == (8, [1234] * 3)


def test_between_as_many_fine_rows_as_large_ones_the_large_are_kept() -> None:
    sifted = sift([row(0, volume="0.000000001"), row(1, volume="100000000")])
    assert places(sifted) == [(0, Reason.TOO_MANY_DECIMALS)]


def test_rows_are_rejected_for_their_fineness_step_by_step() -> None:
    volumes = ["0.123456789012345", "9000000", "9000001", "0.12345678", "0.1234567891"]
    sifted = sift([row(minute, volume=volume) for minute, volume in enumerate(volumes)])
    assert places(sifted) == [(0, Reason.TOO_MANY_DECIMALS), (4, Reason.TOO_MANY_DECIMALS)]
    assert sifted.minutes.volume_scale == 8


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


@given(st.integers(0, MAX_SCALE), st.integers(1, 10**6), st.integers(1, MAX_SCALE))
def test_a_finer_value_is_never_rounded(scale: int, digits: int, decimals: int) -> None:
    volume = Decimal(digits).scaleb(-decimals)
    needed = max(0, -int(volume.normalize().as_tuple().exponent))
    sifted = sift([row(volume=f"{volume:f}")], volume_scale=scale)
    if digits * 10 ** (max(scale, needed) - decimals) < LIMIT:
        assert sifted.minutes.volume_scale == max(scale, needed)
        assert sifted.minutes.volume.tolist() == [int(volume.scaleb(max(scale, needed)))]
    else:
        assert places(sifted) == [(0, Reason.OUT_OF_RANGE)]


@given(st.floats(min_value=1e-6, max_value=1e6, allow_nan=False))
def test_a_float_means_its_shortest_decimal(value: float) -> None:
    decimal = Decimal(repr(value))
    decimals = max(0, -int(decimal.normalize().as_tuple().exponent))
    sifted = sift([row(volume=value)], volume_scale=0)
    if sifted.rejected:
        assert decimals > MAX_SCALE or decimal.scaleb(decimals) >= LIMIT
    else:
        assert sifted.minutes.volume_scale == decimals
        assert sifted.minutes.volume.tolist() == [int(decimal.scaleb(decimals))]
        assert sifted.minutes.volume[0] / 10.0**decimals == value


def test_where_no_finer_ones_are_wanted_the_finer_rows_are_rejected_and_the_scales_stay() -> None:
    rows = [
        row(0),
        row(1, volume="3.1234"),
        row(2, high="11.2501"),
        row(3, volume="3.1250000"),
        row(4, low="x"),
    ]
    assert places(sift(rows, price_scale=2, volume_scale=3)) == [(4, Reason.NOT_A_NUMBER)]
    sifted = sift(rows, price_scale=2, volume_scale=3, finer=False)
    assert places(sifted) == [
        (1, Reason.TOO_MANY_DECIMALS),
        (2, Reason.TOO_MANY_DECIMALS),
        (4, Reason.NOT_A_NUMBER),
    ]
    assert [one.message.split(",")[0] for one in sifted.rejected[:2]] == [
        "volume has 4 decimals",
        "high has 4 decimals",
    ]
    assert (sifted.minutes.price_scale, sifted.minutes.volume_scale) == (2, 3)
    assert sifted.minutes.volume.tolist() == [3125, 3125]
