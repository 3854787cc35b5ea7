"""What bars accept, and what identifies them."""

from __future__ import annotations

import hashlib
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, BarsError
from apps.backtests.engine import bars as bars_module

GOOD = {
    "ts": [0, 60_000, 120_000],
    "open": [1.0, 2.0, 3.0],
    "high": [2.0, 3.0, 4.0],
    "low": [0.5, 1.5, 2.5],
    "close": [2.0, 3.0, 3.5],
    "volume": [0.0, 1.0, 2.0],
}


def test_columns_become_contiguous_read_only_arrays() -> None:
    table = np.array([GOOD["open"], GOOD["high"]]).T
    bars = Bars(**{**GOOD, "open": table[:, 0], "high": table[:, 1]})
    assert len(bars) == 3
    for name in GOOD:
        column = getattr(bars, name)
        assert column.dtype == (np.int64 if name == "ts" else np.float64)
        assert column.flags.c_contiguous
        assert not column.flags.writeable
        assert column.tolist() == GOOD[name]


def test_fitting_columns_are_shared_and_the_callers_stay_writeable() -> None:
    close = np.array(GOOD["close"])
    bars = Bars(**{**GOOD, "close": close})
    assert np.shares_memory(bars.close, close)
    assert close.flags.writeable
    assert np.shares_memory(bars.head(2).close, close)
    assert bars.head(2).ts.tolist() == [0, 60_000]


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("ts", [0, 60_000, 60_000], "ts must increase from bar to bar (row 2)"),
        ("ts", [0, 60_000, 30_000], "ts must increase from bar to bar (row 2)"),
        ("ts", [0.0, 1.0, 2.0], "ts must be integer milliseconds"),
        ("ts", [-(2**63), 0, 1], "ts must lie within"),
        ("close", [1.0, 2.0], "close must have one value per bar"),
        ("volume", [[1.0], [2.0], [3.0]], "volume must have one value per bar"),
        ("close", [1.0, float("nan"), 2.0], "close must lie within 1e-15 and 1e+15 (row 1)"),
        ("open", [float("inf"), 1.0, 2.0], "open must lie within 1e-15 and 1e+15 (row 0)"),
        ("low", [1.0, 1.0, 0.0], "low must lie within 1e-15 and 1e+15 (row 2)"),
        ("high", [1.0, -1.0, 1.0], "high must lie within 1e-15 and 1e+15 (row 1)"),
        ("volume", [0.0, -1.0, 0.0], "volume must be finite and not negative (row 1)"),
        ("volume", [0.0, 0.0, float("nan")], "volume must be finite and not negative (row 2)"),
    ],
)
def test_bad_columns_are_refused_by_name_and_row(name: str, values: list[float], says: str) -> None:
    with pytest.raises(BarsError) as caught:
        Bars(**{**GOOD, name: values})
    assert str(caught.value).startswith(says)


def test_the_fingerprint_is_that_of_the_values() -> None:
    bars = Bars(**GOOD)
    assert bars.fingerprint == "90aab08e6fab87497104c50c39e9ca3c4995ea709c88e228771161cbf1af992e"
    big_endian = {name: np.array(values, ">i8" if name == "ts" else ">f8") for name, values in GOOD.items()}
    assert Bars(**big_endian).fingerprint == bars.fingerprint
    for name in GOOD:
        changed = [*GOOD[name][:-1], GOOD[name][-1] + 1]
        assert Bars(**{**GOOD, name: changed}).fingerprint != bars.fingerprint
    assert bars.head(2).fingerprint != bars.fingerprint


def test_threads_that_ask_at_once_have_the_bars_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hash is counted where it begins; hashing this many bars lets other threads run."""
    count = 200_000
    made, together = [], threading.Barrier(8)

    def counted(data: bytes) -> Any:
        made.append(data)
        return hashlib.sha256(data)

    def ask(bars: Bars) -> str:
        together.wait()
        return bars.fingerprint

    monkeypatch.setattr(bars_module, "hashlib", SimpleNamespace(sha256=counted))
    price = np.ones(count)
    bars = Bars(ts=np.arange(count), open=price, high=price, low=price, close=price, volume=price)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, [bars] * 8))
    assert (len(found), len(made)) == (1, 1)


def test_bars_can_be_pickled_before_and_after_they_are_hashed() -> None:
    bars = Bars(**GOOD)
    before = pickle.loads(pickle.dumps(bars))
    assert bars.fingerprint == before.fingerprint
    assert pickle.loads(pickle.dumps(bars)).fingerprint == bars.fingerprint


def test_the_step_is_the_least_distance_unless_it_is_given() -> None:
    gappy = {**GOOD, "ts": [0, 120_000, 360_000]}
    assert Bars(**gappy).step == 120_000
    assert Bars(**gappy).head(1).step == 120_000
    assert Bars(**gappy, step=60_000).step == 60_000
    assert Bars(**{name: column[:1] for name, column in GOOD.items()}).step == 60_000
    with pytest.raises(BarsError, match="cannot be closer"):
        Bars(**GOOD, step=120_000)


def test_a_head_shares_memory() -> None:
    bars = Bars(**GOOD)
    head = bars.head(2)
    assert len(head) == 2
    assert np.shares_memory(head.close, bars.close)
    assert not head.close.flags.writeable
    assert head.fingerprint != bars.fingerprint
