"""Sweeps: the metrics of every combination are those of a run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from apps.backtests.engine import Bars, BarsError, Sizing, Spec, SpecError
from apps.backtests.engine.kernel import ENTER_LONG
from apps.backtests.engine.language import Cache
from apps.backtests.engine.run import Data, Result, run, run_signals
from apps.backtests.engine.strategies import Signals
from apps.backtests.engine.sweep import SWEPT, Table, signalling, sweep, sweep_windows
from apps.backtests.engine.sweep import lanes as lanes_module
from apps.backtests.engine.sweep.running import ground_of
from tests.backtests.engine.conftest import MINUTE, START
from tests.backtests.engine.specs import spec_of
from tests.backtests.engine.sweeping import crossing

Walk = Callable[[int, int], Bars]

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")

#: The same however a sum is made.
EXACT = (
    "final_equity",
    "return_pct",
    "max_drawdown_pct",
    "peak_equity",
    "exposure_pct",
    "n_trades",
    "win_rate_pct",
)

GRID = [{"fast": fast, "slow": slow} for fast in (2, 5, 9) for slow in (12, 30)]
COSTS = {"commission": 0.0004, "maker": 0.0001, "slippage": 0.0002, "spread": 0.0001}


def assert_rows_are_runs(table: Table, results: list[Result], *, least: int = 1) -> None:
    """Each row of *table* is the metrics of one result; so many of them traded."""
    assert len(table) == len(results)
    assert sum(result.metrics["n_trades"] > 5 for result in results) >= least
    for number, result in enumerate(results):
        row = table.row(number)
        assert list(row) == list(SWEPT)
        for name in EXACT:
            assert row[name] == result.metrics[name], name
        for name, value in row.items():
            known = result.metrics[name]
            assert value == (None if known is None else pytest.approx(known, rel=1e-9, abs=1e-12)), name


def runs(
    data: Data, spec: Spec, combinations: list[dict[str, Any]], detail: Data | None = None
) -> list[Result]:
    """Each combination as a run of its own."""
    named: Mapping[str, Bars] = {"": data} if isinstance(data, Bars) else data
    return [
        run_signals(data, {name: crossing(bars, params) for name, bars in named.items()}, spec, detail=detail)
        for params in combinations
    ]


def hours(minutes: Bars) -> Bars:
    """The same bars with sixty in one."""
    rows = len(minutes) // 60

    def cut(column: Any) -> Any:
        return column[: rows * 60].reshape(rows, 60)

    return Bars(
        ts=cut(minutes.ts)[:, 0],
        open=cut(minutes.open)[:, 0],
        high=cut(minutes.high).max(axis=1),
        low=cut(minutes.low).min(axis=1),
        close=cut(minutes.close)[:, -1],
        volume=cut(minutes.volume).sum(axis=1),
        step=60 * MINUTE,
    )


@pytest.mark.parametrize("jit", [None, False])
@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {}),
        ({"both": True}, {"maintenance_margin": 0.005, "leverage": 3.0}),
        ({"stop": 0.004, "target": 0.006}, {"same_bar": "optimistic"}),
        (
            {"stop": 0.004, "target": 0.006, "both": True},
            {"fixed": 0.5, "lot": 0.01, "finalise": "last_open"},
        ),
        ({"ranges": 2.5, "both": True}, {"fill": "close"}),
        ({"order": "limit", "offset": 0.001, "target": 0.004}, {"funding": 0.0001}),
        ({"order": "stop", "offset": 0.001, "time_stop": 20, "both": True}, {"fraction": 0.5}),
        ({"stop": 0.01}, {"sizing": Sizing(type="risk", value=0.02), "pyramiding": 2}),
        ({"both": True}, {"cash": 30.0, "fixed": 1.0}),
    ],
)
def test_every_row_is_the_metrics_of_a_run(
    walk: Walk, jit: bool | None, changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    bars = walk(6000, 11)
    spec = spec_of(**{**COSTS, **settings})
    combinations = [{**params, **changes} for params in GRID]
    table = sweep(bars, spec, combinations, signals=crossing, jit=jit)
    assert_rows_are_runs(table, runs(bars, spec, combinations), least=1)


@pytest.mark.parametrize("jit", [None, False])
@pytest.mark.parametrize(
    ("order", "changes"),
    [("market", {"fill": "close"}), ("limit", {}), ("market", {"pyramiding": 1, "fill": "close"})],
)
def test_what_began_after_the_last_open_is_closed_at_the_last_close(
    walk: Walk, jit: bool | None, order: str, changes: dict[str, Any]
) -> None:
    """An entry on each of the last bars, of one instrument and of two of which one ends earlier."""
    bars = walk(300, 5)
    spec = spec_of(finalise="last_open", fraction=0.4, **COSTS, **changes)

    def entering(of: Bars, params: dict[str, Any]) -> Signals:
        bits = np.zeros(len(of), np.uint8)
        bits[[-params["back"], -1]] = ENTER_LONG
        return Signals(bits=bits, warmup=0, order=order, long_price=of.close * 1.2)

    combinations = [{"back": back} for back in (1, 2, 3)]
    for data in (bars, {"a": bars, "b": walk(300, 6).head(298)}):
        named = data if isinstance(data, dict) else {"": data}
        table = sweep(data, spec, combinations, signals=entering, jit=jit)
        results = [
            run_signals(data, {name: entering(one, params) for name, one in named.items()}, spec)
            for params in combinations
        ]
        assert_rows_are_runs(table, results, least=0)


@needs_numba
def test_compiled_and_uncompiled_sweeps_are_equal_byte_for_byte(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = walk(5000, 3)
    combinations = [{**params, "both": True, "stop": 0.01, "ranges": 3} for params in GRID]
    tables = [
        sweep(bars, spec_of(**COSTS), combinations, signals=crossing, returns=True, jit=jit)
        for jit in (True, False)
    ]
    monkeypatch.setattr(lanes_module, "STRETCH", 700)
    tables.append(sweep(bars, spec_of(**COSTS), combinations, signals=crossing, returns=True, jit=True))
    for name in SWEPT:
        assert len({table.metrics[name].tobytes() for table in tables}) == 1, name
    assert len({table.returns.tobytes() for table in tables if table.returns is not None}) == 1


def test_the_strategy_of_the_specification_makes_the_signals(walk: Walk) -> None:
    bars = walk(4000, 5)
    spec = spec_of(params={"fast": 3, "slow": 9}, **COSTS)
    combinations = [
        {"fast": 3, "slow": 9, "direction": "long"},
        {"fast": 5, "slow": 9, "direction": "long_short"},
    ]
    table = sweep(bars, spec, combinations)
    results = [run(bars, spec_of(params=params, **COSTS)) for params in combinations]
    assert_rows_are_runs(table, results, least=2)


def test_orders_are_filled_on_finer_bars(walk: Walk) -> None:
    minutes = walk(24_000, 8)
    bars = hours(minutes)
    spec = spec_of(detail="1m", funding=0.0001, **COSTS)
    combinations = [{"fast": 2, "slow": slow, "stop": 0.02, "both": True} for slow in (5, 8)]
    table = sweep(bars, spec, combinations, detail=minutes, signals=crossing)
    assert_rows_are_runs(table, runs(bars, spec, combinations, minutes), least=2)


@pytest.mark.parametrize("jit", [None, False])
def test_several_instruments_share_an_account(walk: Walk, jit: bool | None) -> None:
    one, other = walk(4000, 1), walk(5000, 2)
    # The second has its bars at other times, too: it lacks every seventh and begins earlier.
    kept = np.arange(5000) % 7 != 0
    shifted = Bars(
        ts=(other.ts - 300 * MINUTE)[kept],
        **{name: getattr(other, name)[kept] for name in ("open", "high", "low", "close", "volume")},
        step=MINUTE,
    )
    data = {"a": one, "b": shifted}
    spec = spec_of(fraction=0.4, max_positions=2, maintenance_margin=0.005, **{**COSTS, "funding": 0.0001})
    combinations = [{**params, "both": True, "stop": 0.01} for params in GRID[:3]]
    table = sweep(data, spec, combinations, signals=crossing, jit=jit)
    assert_rows_are_runs(table, runs(data, spec, combinations), least=3)


def test_funding_that_is_paid_can_liquidate_what_is_long_only(walk: Walk) -> None:
    """With all of the account's money in, funding eats it up to where the margin is missed."""
    data = {"a": walk(9000, 1), "b": walk(9000, 2)}
    spec = spec_of(fraction=0.5, maintenance_margin=0.4, **{**COSTS, "funding": 0.05})

    def holding(of: Bars, params: Mapping[str, Any]) -> Signals:
        bits = np.zeros(len(of), np.uint8)
        bits[:: params["every"]] = ENTER_LONG
        return Signals(bits=bits, warmup=0)

    combinations = [{"every": every} for every in (100, 300)]
    results = [
        run_signals(data, {name: holding(one, params) for name, one in data.items()}, spec)
        for params in combinations
    ]
    assert all("liquidation" in {row["reason"] for row in one.trades.rows(one.ts)} for one in results)
    assert_rows_are_runs(sweep(data, spec, combinations, signals=holding), results, least=0)


def test_what_combinations_share_has_one_limit_for_all_instruments(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    class Noted(Cache):
        def __init__(self, bars: Bars, *, limit: int) -> None:
            limits.append(limit)
            super().__init__(bars, limit=limit)

    monkeypatch.setattr(signalling, "Cache", Noted)
    data = {name: walk(300, seed) for seed, name in enumerate("abcd")}
    sweep(data, spec_of(), [{"fast": 2, "slow": 5, "direction": "long"}])
    assert limits == [64 * 2**20] * 4


def test_coarse_bars_have_periods_of_their_own(bars_of: Callable[..., Bars]) -> None:
    rng = np.random.default_rng(4)
    bars = bars_of(100 * np.exp(np.cumsum(rng.normal(0, 0.03, 300))), step=7 * 1440 * MINUTE, start=0)
    spec = spec_of(**COSTS)
    assert_rows_are_runs(sweep(bars, spec, GRID, signals=crossing), runs(bars, spec, GRID), least=1)


def test_a_window_starts_flat_with_indicators_that_saw_what_was_before(walk: Walk) -> None:
    bars, spec, window = walk(6000, 21), spec_of(finalise="last_open", **COSTS), (2500, 4700)
    combinations = [{**params, "both": True} for params in GRID]
    table = sweep(bars, spec, combinations, window=window, signals=crossing)
    part = slice(*window)
    inside = Bars(
        **{name: getattr(bars, name)[part] for name in ("ts", "open", "high", "low", "close", "volume")}
    )
    results = []
    for params in combinations:
        whole = crossing(bars, params)
        results.append(run_signals(inside, Signals(bits=whole.bits[part], warmup=0), spec))
    assert_rows_are_runs(table, results, least=3)


def test_windows_share_the_signal_stage(walk: Walk) -> None:
    bars, spec = walk(3000, 2), spec_of(**COSTS)
    calls: list[int] = []

    def counted(given: Bars, params: Mapping[str, Any]) -> Any:
        calls.append(1)
        return crossing(given, params)

    windows = [(0, 1000), (500, 3000)]
    tables = sweep_windows(ground_of(bars, spec), GRID, windows, returns=[False, True], signals=counted)
    assert len(calls) == len(GRID)
    for window, table in zip(windows, tables, strict=True):
        alone = sweep(bars, spec, GRID, window=window, signals=crossing)
        assert all(table.metrics[name].tobytes() == alone.metrics[name].tobytes() for name in SWEPT)
    assert tables[0].returns is None
    assert tables[1].returns is not None
    assert len(tables[1].returns) == len(GRID)


def test_period_returns_make_the_sharpe_ratio(walk: Walk) -> None:
    bars, spec = walk(40_000, 6), spec_of(**COSTS)
    table = sweep(bars, spec, GRID, returns=True, signals=crossing)
    assert table.returns is not None
    assert table.returns.shape == (len(GRID), (int(bars.ts[-1]) // 86_400_000) - START // 86_400_000)
    sharpe = table.returns.mean(axis=1) / table.returns.std(axis=1, ddof=1) * np.sqrt(365)
    assert sharpe == pytest.approx(table.metrics["sharpe_arithmetic"], rel=1e-9)


def test_progress_comes_often_and_what_it_raises_ends_the_sweep(walk: Walk) -> None:
    seen: list[tuple[int, int]] = []
    bars, spec = walk(500, 1), spec_of()
    sweep(bars, spec, GRID, signals=crossing, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(GRID), len(GRID))
    assert len(seen) > len(GRID)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(bars, spec, GRID, signals=crossing, progress=stop)


def test_a_combination_without_a_trade_is_measured_and_the_undefined_is_none(walk: Walk) -> None:
    table = sweep(walk(50, 1), spec_of(), [{"fast": 30, "slow": 49}], signals=crossing)
    row = table.row(0)
    assert (row["n_trades"], row["return_pct"], row["max_drawdown_pct"], row["exposure_pct"]) == (0, 0, 0, 0)
    assert row["win_rate_pct"] is row["profit_factor"] is row["sqn"] is row["expectancy"] is None


def test_what_cannot_be_swept_is_refused(walk: Walk) -> None:
    bars = walk(100, 1)
    with pytest.raises(BarsError, match="no bars"):
        sweep(bars.head(0), spec_of(), GRID, signals=crossing)
    with pytest.raises(BarsError, match="part"):
        sweep(bars, spec_of(), GRID, window=(50, 101), signals=crossing)
    with pytest.raises(SpecError, match="stop-loss"):
        sweep(bars, spec_of(sizing=Sizing(type="risk", value=0.1)), GRID, signals=crossing)
    assert len(sweep(bars, spec_of(), [], signals=crossing)) == 0
