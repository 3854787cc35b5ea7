"""Whole columns are read exactly as their cells are read one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from apps.candles.quality import LIMIT, Reason, sift_minutes
from apps.candles.quality.bulk import read_numbers, read_times
from apps.candles.quality.numbers import Bounds, Number, check_row, number
from apps.candles.quality.reasons import Unsound
from apps.candles.quality.rows import open_time

MINUTE = 60_000
NOW = 100 * MINUTE

#: Numbers as exchanges and files write them, and what is only nearly one.
plain = st.from_regex(r"[0-9]{1,20}(\.[0-9]{0,20})?", fullmatch=True)
long = st.from_regex(r"[0-9]{38,42}(\.[0-9]{1,3})?", fullmatch=True)
signed = st.from_regex(r"[ +-]?[0-9_]{0,6}(\.[0-9 ]{0,6})?([eE][+-]?[0-9]{1,3})?[ \n]?", fullmatch=True)
odd = st.sampled_from(
    (
        *("", ".", "..", "1.", ".5", "1.2.3", "nan", "-NaN", "inf", "-Infinity", "\u0663.\u0664", "\u00b2"),
        *("1_0", "1,5", "\n", "1\n2", "1\r", "\ud800", "0", "0.0", "-0", "00.10", "1e5", "0x10"),
        *("9007199254740991", "9007199254740992", "9007199254740992.000"),
    )
)
texts = st.one_of(plain, long, signed, odd, st.text(max_size=5))
numbers = st.one_of(st.integers(-(10**20), 10**20), st.integers(-(2**54), 2**54))
floats = st.one_of(
    st.floats(), st.decimals(0, 10**6, places=6).map(float), st.sampled_from([1e-7, 0.1, -0.0])
)
decimals = st.one_of(st.decimals(), st.decimals(0, 10**6, places=8))
anything = st.one_of(texts, numbers, floats, decimals, st.none(), st.booleans(), st.just([]), st.just(b"1"))
kinds = (texts, numbers, floats, decimals, anything)
columns = st.one_of(*(st.lists(kind, min_size=1, max_size=8) for kind in kinds))


def one_by_one(value: Any) -> tuple[int, int] | None:
    try:
        return number("x", value)
    except Unsound:
        return None


@given(columns)
@example(["1.50", "1\n2", "2.25"])
@example([1, 2.5, "3", Decimal("4.00")])
@example([10**5000, "1"])
def test_a_cell_that_is_sure_is_what_it_is_alone(column: list[Any]) -> None:
    digits, places, sure = read_numbers(column)
    for cell, value in enumerate(column):
        if sure[cell]:
            assert (digits[cell], places[cell]) == one_by_one(value)


@given(
    st.lists(plain.filter(lambda text: len(text) <= 18), min_size=1),
    st.lists(st.integers(0, 10**15 - 1), min_size=1),
)
def test_usual_spellings_are_sure(written: list[str], digits: list[int]) -> None:
    for column in (written, [value / 10**6 for value in digits]):
        _, _, sure = read_numbers(column)
        for cell, value in enumerate(column):
            assert sure[cell] == (number("x", value).digits < LIMIT)


@given(columns)
def test_an_open_time_that_is_sure_is_what_it_is_alone(column: list[Any]) -> None:
    times, sure = read_times(column)
    for cell, value in enumerate(column):
        if sure[cell]:
            assert times[cell] == open_time([value])


times = st.one_of(
    st.integers(-2, 101).map(lambda minute: minute * MINUTE),
    st.integers(0, 99).map(lambda minute: str(minute * MINUTE)),
    st.integers(0, NOW),
    anything,
)
sane = st.sampled_from(
    ["10", "10.5", 10.25, 11, Decimal("10.125"), "1e1", "0.00000123", "9.99999999", "98765.43"]
)
cells = st.one_of(sane, sane, sane, anything)
rows = st.one_of(
    st.tuples(times, cells, cells, cells, cells, cells),
    st.tuples(times, st.just("10"), st.just("12.5"), st.just("9"), cells, cells),
    st.tuples(times, st.just(10.0), st.just(12.5), st.just(9.0), sane, sane, cells),
    st.lists(cells, max_size=7).map(tuple),
)


#: What a row is rejected for on account of others.
RELATIVE = (Reason.DUPLICATE, Reason.CONFLICT, Reason.TOO_MANY_DECIMALS, Reason.OUT_OF_RANGE)


def judge(
    row: tuple[Any, ...], bounds: Bounds
) -> tuple[tuple[int, tuple[Number, ...]] | None, tuple[Reason, str] | None]:
    """What one row is by itself: its time and numbers, or its fault."""
    try:
        return check_row(row, bounds), None
    except Unsound as fault:
        return None, (fault.reason, str(fault))


@given(st.lists(rows, max_size=12), st.integers(0, 8), st.integers(0, 8))
def test_a_batch_is_judged_row_by_row(
    batch: list[tuple[Any, ...]], price_scale: int, volume_scale: int
) -> None:
    settings = {
        "start_ms": MINUTE,
        "end_ms": None,
        "now_ms": NOW,
        "price_scale": price_scale,
        "volume_scale": volume_scale,
    }
    sifted = sift_minutes(batch, **settings)
    rejected = {one.place: one for one in sifted.rejected}
    minutes = sifted.minutes
    assert len(minutes) + len(rejected) == len(batch)
    kept = {}
    for place, row in enumerate(batch):
        sound, fault = judge(row, Bounds(**settings))
        if sound is None:
            assert (rejected[place].reason, rejected[place].message) == fault
        elif place in rejected:
            assert rejected[place].reason in RELATIVE
        else:
            kept[sound[0]] = sound[1]
    assert minutes.ts.tolist() == sorted(kept)
    scales = [minutes.price_scale] * 4 + [minutes.volume_scale]
    stored = zip(minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume, strict=True)
    for ts, values in zip(minutes.ts.tolist(), stored, strict=True):
        exact = [value.at(scale) for value, scale in zip(kept[ts], scales, strict=True)]
        assert [int(value) for value in values] == exact
        assert max(exact) < LIMIT
