"""Every metric against slow, obvious Python, on curves and trades drawn at random."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import accumulate, groupby, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.backtests.engine import METRICS, Bars
from apps.backtests.engine.metrics import Value, measure
from apps.backtests.engine.metrics.periods import changes, period_equity
from apps.backtests.engine.trades import Trades

HOUR = 3_600_000
DAY = 24 * HOUR
START = int(datetime(2024, 2, 27, 13, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True)
class Case:
    ts: list[int]
    close: list[float]
    equity: list[float]
    trades: list[dict[str, Any]]
    cash: float
    warmup: int

    def measured(self, unit: float = 1.0, **more: Any) -> dict[str, Value]:
        """Its metrics, with all money multiplied by *unit*."""
        close = np.array(self.close)
        bars = Bars(
            ts=np.array(self.ts), open=close, high=close, low=close, close=close, volume=np.ones(len(close))
        )
        columns = {name: np.array([row[name] for row in self.trades], float) for name in COLUMNS}
        for name in ("commission", "pnl"):
            columns[name] *= unit
        trades = Trades(
            **{name: values.astype(TYPES.get(name, np.float64)) for name, values in columns.items()}
        )
        arguments = {"entries_skipped": 0, "written_off": 0.0, "warmup": self.warmup} | more
        return measure(
            bars=bars,
            equity=np.array(self.equity) * unit,
            trades=trades,
            cash=self.cash * unit,
            **arguments,
        )


COLUMNS = [name for name, _ in Trades.of(np.zeros((0, 32))).columns()]
TYPES = {name: column.dtype for name, column in Trades.of(np.zeros((0, 32))).columns()}


@st.composite
def cases(draw: st.DrawFn, most: int = 700) -> Case:
    """Curves of whole cents with many ties, flat stretches, gaps in time, and now and then a bankruptcy."""
    count = draw(st.integers(1, most) | st.sampled_from([1, 2, 127, 128, 129, 256]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    step = draw(st.sampled_from([60_000, HOUR, 7 * HOUR, DAY, 7 * DAY, 31 * DAY]))
    drift = draw(st.sampled_from([-1, 0, 0, 2]))
    moves = rng.integers(-3, 4, count) + drift * rng.integers(0, 2, count)
    moves[rng.random(count) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = 0
    equity = np.maximum(10_000 + draw(st.sampled_from([1, 100])) * np.cumsum(moves), 1).astype(float)
    if draw(st.integers(0, 9)) == 0:
        equity[count // 2 + 1 :] = 0.0
    ts = START + step * np.cumsum(rng.choice([1, 1, 1, 2, 9], count))
    close = np.maximum(1_000 + np.cumsum(rng.integers(-9, 10, count)), 5) / 10
    trades = []
    for _ in range(draw(st.integers(0, 12))):
        first = int(rng.integers(0, count))
        gain = float(rng.integers(-5, 6))
        trades.append(
            dict.fromkeys(COLUMNS, 0)
            | {
                "entry_bar": first,
                "exit_bar": min(first + int(rng.integers(0, 30)), count - 1),
                "size": float(rng.choice([-1.0, 2.0])),
                "commission": float(rng.integers(0, 3)),
                "pnl": gain,
                "return_": gain / 5 * float(rng.choice([0.1, 1.0])),
            }
        )
    trades.sort(key=lambda row: int(row["exit_bar"]))
    return Case(ts.tolist(), close.tolist(), equity.tolist(), trades, 10_000.0, draw(st.integers(0, count)))


def drawdowns(equity: list[float]) -> Iterator[tuple[int, int, Fraction, bool]]:
    """Start, end, depth and whether it has recovered, bar by bar."""
    high, at, low = equity[0], 0, equity[0]
    for bar, value in enumerate(equity):
        if value >= high:
            if low < high:
                yield at, bar, 1 - Fraction(low) / Fraction(high), True
            high, at, low = value, bar, value
        low = min(low, value)
    if low < high:
        yield at, len(equity) - 1, 1 - Fraction(low) / Fraction(high), False


def of_drawdowns(case: Case) -> dict[str, Any]:
    found = list(drawdowns(case.equity))
    spans = [case.ts[end] - case.ts[start] for start, end, _, _ in found]
    highs = accumulate(map(Fraction, case.equity), max)
    falls = (1 - Fraction(value) / high for value, high in zip(case.equity, highs, strict=True))
    squares = math.fsum(float(fall) ** 2 for fall in falls)
    open_now = bool(found) and not found[-1][3]
    return {
        "n_drawdowns": len(found),
        "max_drawdown_pct": -100 * float(max((item[2] for item in found), default=0)),
        "avg_drawdown_pct": -100 * float(sum(i[2] for i in found)) / len(found) if found else None,
        "current_drawdown_pct": 100 * (case.equity[-1] / max(case.equity) - 1),
        "ulcer_index_pct": 100 * math.sqrt(squares / len(case.equity)),
        "max_drawdown_duration": max(spans, default=0),
        "avg_drawdown_duration": sum(spans) / len(found) if found else None,
        "current_drawdown_duration": spans[-1] if open_now else 0,
        "peak_equity": max(case.equity),
        "final_equity": case.equity[-1],
        "return_pct": 100 * (case.equity[-1] / case.cash - 1),
    }


def mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def over(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


def percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def of_trades(case: Case) -> dict[str, Any]:
    rows = case.trades
    gains, returns = [row["pnl"] for row in rows], [row["return_"] for row in rows]
    spans = [case.ts[row["exit_bar"]] - case.ts[row["entry_bar"]] for row in rows]
    long = [row["pnl"] for row in rows if row["size"] > 0]
    short = [row["pnl"] for row in rows if row["size"] < 0]
    won, lost = [g for g in gains if g > 0], [g for g in gains if g < 0]
    streaks = dict.fromkeys((-1, 0, 1), 0)
    for sign, group in groupby(gains, key=lambda gain: (gain > 0) - (gain < 0)):
        streaks[sign] = max(streaks[sign], len(list(group)))
    paid = sum(row["commission"] for row in rows)
    held = {bar for row in rows for bar in range(row["entry_bar"], row["exit_bar"] + 1)}
    count = len(rows)
    spread = math.sqrt(sum((g - sum(gains) / count) ** 2 for g in gains) / (count - 1)) if count > 1 else 0
    growth = math.prod(1 + r for r in returns) if count and min(returns) > -1 else None
    share, payoff = len(won) / max(count, 1), over(mean(won) or 0, -(mean(lost) or 0))
    return {
        "exposure_pct": 100 * len(held) / len(case.ts),
        "n_trades": count,
        "n_long": len(long),
        "n_short": len(short),
        "win_rate_pct": percent(over(len(won), count)),
        "win_rate_long_pct": percent(over(sum(g > 0 for g in long), len(long))),
        "win_rate_short_pct": percent(over(sum(g > 0 for g in short), len(short))),
        "best_trade_pct": percent(max(returns, default=None)),
        "worst_trade_pct": percent(min(returns, default=None)),
        "avg_trade_pct": None if growth is None else 100 * (growth ** (1 / count) - 1),
        "avg_win_pct": percent(mean([row["return_"] for row in rows if row["pnl"] > 0])),
        "avg_loss_pct": percent(mean([row["return_"] for row in rows if row["pnl"] < 0])),
        "avg_win": mean(won),
        "avg_loss": mean(lost),
        "max_win_streak": streaks[1],
        "max_loss_streak": streaks[-1],
        "avg_trade_duration": mean(spans),
        "max_trade_duration": max(spans, default=None),
        "min_trade_duration": min(spans, default=None),
        "profit_factor": over(sum(r for r in returns if r > 0), -sum(r for r in returns if r < 0)),
        "profit_factor_money": over(sum(won), -sum(lost)),
        "expectancy_pct": percent(mean(returns)),
        "expectancy": mean(gains),
        "sqn": over(math.sqrt(count) * (mean(gains) or 0), spread),
        "kelly": share - (1 - share) / payoff if won and lost and payoff else None,
        "commissions": paid,
        "commissions_of_gain_pct": percent(
            over(paid, sum(max(row["pnl"] + row["commission"], 0) for row in rows))
        ),
    }


def of_market(case: Case) -> dict[str, Any]:
    hold = None
    if case.warmup < len(case.ts):
        hold = 100 * (case.close[-1] / case.close[case.warmup] - 1)
    expected: dict[str, Any] = {"buy_hold_return_pct": hold, "beta": None, "alpha_pct": None}
    if len(case.ts) > 2 and min(case.equity) > 0:
        x = np.array([math.log(b / a) for a, b in pairwise(case.equity)])
        y = np.array([math.log(b / a) for a, b in pairwise(case.close)])
        covariance = np.cov(x, y)
        if covariance[1, 1] > 0:
            expected["beta"] = covariance[0, 1] / covariance[1, 1]
    if expected["beta"] is not None and hold is not None:
        expected["alpha_pct"] = 100 * (case.equity[-1] / case.cash - 1) - expected["beta"] * hold
    return expected


def normal(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def of_periods(case: Case) -> dict[str, Any]:
    """Omega, the moments and the probabilities, from exact central moments."""
    days: dict[int, float] = {}
    coarse = np.median(np.diff(case.ts)) >= 7 * DAY if len(case.ts) > 1 else False
    for at, (time, value) in enumerate(zip(case.ts, case.equity, strict=True)):
        days[at if coarse else time // DAY] = value
    r = [b / a - 1 if a > 0 else 0.0 for a, b in pairwise(days.values())]
    names = ("omega", "skew", "kurtosis", "probabilistic_sharpe", "deflated_sharpe")
    expected: dict[str, Any] = dict.fromkeys(names)
    if not r:
        return expected
    expected["omega"] = over(sum(max(x, 0) for x in r), -sum(min(x, 0) for x in r))
    exact = [Fraction(x) for x in r]
    center = sum(exact) / len(exact)
    second, third, fourth = (float(sum((x - center) ** k for x in exact) / len(exact)) for k in (2, 3, 4))
    if len(r) < 2 or second == 0:
        return expected
    skew, kurtosis = third / second**1.5, fourth / second**2
    sharpe = float(center) / math.sqrt(second * len(r) / (len(r) - 1))
    expected |= {"skew": skew, "kurtosis": kurtosis}
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if spread < 1e-9:  # two values alone: nothing but rounding
        for name in names[3:]:
            del expected[name]
        return expected
    above = normal(sharpe * math.sqrt(len(r) - 1) / math.sqrt(spread))
    return expected | dict.fromkeys(names[3:], above)  # nothing to deflate one run by


def assert_equal(measured: dict[str, Value], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if value is None:
            assert measured[name] is None, name
        else:
            assert measured[name] == pytest.approx(value, rel=1e-8, abs=1e-10), name


@given(cases())
def test_metrics_of_the_curve_and_the_market(case: Case) -> None:
    assert_equal(case.measured(), of_drawdowns(case) | of_market(case))


@given(cases())
def test_metrics_of_the_trades(case: Case) -> None:
    assert_equal(case.measured(), of_trades(case))


@given(cases())
def test_metrics_of_the_periods(case: Case) -> None:
    assert_equal(case.measured(), of_periods(case))


@given(cases(40))
def test_money_of_another_size_changes_money_alone(case: Case) -> None:
    once, twice = case.measured(), case.measured(2.0)
    for metric in METRICS:
        value, factor = once[metric.name], 2 if metric.unit == "money" else 1
        if value is None:
            assert twice[metric.name] is None, metric.name
        else:  # logarithms of other numbers round otherwise
            assert twice[metric.name] == pytest.approx(value * factor, rel=1e-9, abs=1e-9), metric.name


@given(cases(40))
def test_every_metric_is_a_finite_number_of_python_or_none(case: Case) -> None:
    metrics = case.measured(written_off=-0.0, funding_paid=-0.0)
    assert list(metrics) == [metric.name for metric in METRICS]
    for name, value in metrics.items():
        assert value is None or (type(value) in (int, float) and math.isfinite(value)), name
        assert str(value) != "-0.0", name


@pytest.mark.parametrize("drift", [-2e-4, 0.0, 2e-4])
def test_long_curves_are_measured_in_blocks_that_leave_no_seam(drift: float) -> None:
    """Longer than any block, which short curves never fill."""
    rng = np.random.default_rng(7)
    count = 30_007
    moves, position = rng.normal(0, 1e-3, count), np.repeat(rng.random(count // 20 + 1) < 0.5, 20)[:count]
    equity = np.round(1e4 * np.exp(np.cumsum(position * (moves + drift))), 2)
    case = Case(
        (START + 60_000 * np.arange(count)).tolist(),
        np.exp(np.cumsum(moves)).tolist(),
        equity.tolist(),
        [],
        1e4,
        100,
    )
    assert_equal(case.measured(), of_drawdowns(case) | of_market(case))


def test_a_drawdown_longer_than_a_block_that_recovers_within_one() -> None:
    equity = [100.0, *[90.0] * 25_000, *[95.0, 100.0] * 3_000, *[101.0, 102.0] * 4_000, 50.0]
    case = Case(list(range(START, START + len(equity))), equity, equity, [], 100.0, 0)
    assert_equal(case.measured(), of_drawdowns(case))


def test_an_account_that_never_had_anything_is_measured() -> None:
    n = 5
    case = Case(list(range(START, START + n * DAY, DAY)), [1.0] * n, [0.0] * n, [], 100.0, 0)
    metrics = case.measured()
    assert (metrics["return_pct"], metrics["max_drawdown_pct"], metrics["ulcer_index_pct"]) == (-100, 0, 0)
    assert metrics["sharpe"] is metrics["cagr_pct"] is metrics["beta"] is None


def test_period_returns_are_of_days_with_bars() -> None:
    ts = np.array([START, START + HOUR, START + DAY, START + 5 * DAY, START + 5 * DAY + 1, START + 6 * DAY])
    days = period_equity(ts, np.array([50.0, 100.0, 110.0, 1.0, 99.0, 0.0]))
    assert changes(days) == pytest.approx([0.1, -0.1, -1.0])
    assert changes(np.array([1.0, 0, 0, 0])).tolist() == [-1, 0, 0]
    assert changes(np.array([days, 2 * days])).tolist() == [changes(days).tolist()] * 2
