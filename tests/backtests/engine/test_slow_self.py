"""The engine against a slow and obvious account in exact rational arithmetic (``slow``)."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from apps.backtests.engine import Bars, Spec, kernel, run
from apps.backtests.engine.strategies import STRATEGIES
from apps.backtests.engine.trades import REASONS
from tests.backtests.engine.slow import Account, Bar, Decision
from tests.backtests.engine.slow_cases import Case, Draw, Outcome, rules_of, simulated, slowly
from tests.backtests.engine.specs import spec_of

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "binanceus_btcusdt_1m_2023-03-01_2023-03-21.csv.gz"

Flags = tuple[bool, bool, bool, bool]

#: What must have happened at least so often among the random cases for them to prove anything.
OFTEN = {
    "signal": 500,
    "stop_loss": 500,
    "take_profit": 500,
    "trailing": 500,
    "time_stop": 250,
    "liquidation": 100,
    "bankruptcy": 12,
    "end": 150,
    "entry market at open": 500,
    "entry market at before": 500,  # at the close
    "entry limit at limit": 250,
    "entry limit at open": 250,
    "entry stop at stop": 250,
    "entry stop at open": 250,
    "pyramiding market": 50,
    "pyramiding limit": 10,
    "pyramiding stop": 25,
    "gap exit before addition": 1,
    "addition gone": 7,
    "gap stop_loss": 50,
    "gap take_profit": 50,
    "gap trailing": 50,
    "gap liquidation": 5,
    "ambiguous before": 50,
    "ambiguous open": 150,
    "ambiguous limit": 50,
    "ambiguous stop": 50,
    "trail followed": 500,
    "funding paid": 250,
    "funding received": 250,
    "void entry": 250,
    "full": 100,
    "replaced": 150,
    "cancelled": 50,
    "expired": 250,
    "max_positions": 150,
    "skipped equity": 50,
    "skipped cash": 100,
    "skipped units": 100,
    "skipped risk": 100,
    "late": 50,
}


ROW = (
    "entry_bar", "exit_bar", "size", "entry_price", "exit_price", "commission", "funding", "pnl", "reason",
    "instrument", "entries",
)  # fmt: skip


def assert_equal(outcome: Outcome, account: Account) -> None:
    """Nine digits; of sums that cancel out, nine digits of the most that was at stake."""
    scale = 1e-9 * max(float(account.largest), float(account.rules.cash))
    equity = [float(value) for value in account.equity]
    np.testing.assert_allclose(outcome.equity, equity, rtol=1e-9, atol=scale)
    trades = outcome.trades
    assert len(trades) == len(account.trades)
    columns = dict(trades.columns())
    for name, values in zip(ROW, zip(*account.trades, strict=True), strict=bool(account.trades)):
        if name == "reason":
            assert [REASONS[code] for code in trades.reason.tolist()] == list(values)
        elif columns[name].dtype.kind == "i":
            assert columns[name].tolist() == list(values)
        else:
            money = scale if name in ("commission", "funding", "pnl") else 0.0
            expected = [float(value) for value in values]
            np.testing.assert_allclose(columns[name], expected, rtol=1e-9, atol=money, err_msg=name)
    at_entry = np.abs(trades.size) * trades.entry_price
    np.testing.assert_allclose(trades.return_ * at_entry, trades.pnl, rtol=1e-9, atol=scale)
    assert_sums(outcome, scale)
    assert outcome.skipped == account.skipped
    assert outcome.ambiguous == account.ambiguous
    assert outcome.written_off == pytest.approx(float(account.written_off), rel=1e-9, abs=scale)
    kept = float(account.rules.cash) + trades.pnl.sum() + outcome.written_off
    assert outcome.equity[-1] == pytest.approx(kept, rel=1e-9, abs=scale)


def assert_sums(outcome: Outcome, scale: float) -> None:
    """What the loop sums up for sweeps, which record no trades, is what its trades sum up to."""
    trades, gains, returns = outcome.trades, outcome.trades.pnl, outcome.trades.return_
    spans = zip(trades.entry_bar.tolist(), trades.exit_bar.tolist(), strict=True)
    sums = {
        kernel.TRADES: len(trades),
        kernel.POSITIONS: 0,
        kernel.WINS: np.count_nonzero(gains > 0),
        kernel.HELD_BARS: len({bar for one, other in spans for bar in range(one, other + 1)}),
        kernel.GROSS_PROFIT: returns[returns > 0].sum(),
        kernel.GROSS_LOSS: -returns[returns < 0].sum(),
        kernel.RETURNS: returns.sum(),
    }
    money = {
        kernel.PNL: gains.sum(),
        kernel.FEES: trades.commission.sum(),
        kernel.FUNDING: trades.funding.sum(),
        kernel.CASH: outcome.equity[-1],
    }
    for index, value in sums.items():
        assert outcome.account[index] == pytest.approx(value, rel=1e-9, abs=1e-9)
    for index, value in money.items():
        assert outcome.account[index] == pytest.approx(value, rel=1e-9, abs=scale)
    squares = ((gains - gains.mean()) ** 2).sum() if len(gains) else 0.0
    assert outcome.account[kernel.PNL_SQUARES] == pytest.approx(squares, rel=1e-9, abs=scale**2)


def test_without_a_record_of_trades_everything_else_is_the_same() -> None:
    draw = Draw(5)
    for _ in range(100):
        case = draw.case()
        recorded = simulated(case, optimistic=False)
        counted = simulated(case, optimistic=False, record=False)
        assert counted.equity.tobytes() == recorded.equity.tobytes()
        assert counted.account == recorded.account
        assert len(counted.trades) == 0


def test_random_cases_of_everything() -> None:
    """Wild prices, gaps, missing and finer bars, one to three instruments, all settings, both readings."""
    events: Counter[str] = Counter()
    draw = Draw(4)
    for _ in range(1000):
        case = draw.case()
        account = slowly(case, optimistic=False)
        assert_equal(simulated(case, optimistic=False), account)
        events += account.events
        if account.ambiguous:
            otherwise = slowly(case, optimistic=True)
            assert_equal(simulated(case, optimistic=True), otherwise)
            events += otherwise.events
    assert {name: events[name] for name, least in OFTEN.items() if events[name] < least} == {}
    assert set(REASONS.values()) <= set(OFTEN)


def account_of(bars: Bars, decisions: list[Flags], spec: Spec) -> Account:
    """The slow account on one instrument and market orders."""
    columns = zip(bars.ts, bars.open, bars.high, bars.low, bars.close, strict=True)
    rows = [Bar(int(ts), *(Fraction(float(price)) for price in prices)) for ts, *prices in columns]
    rules = rules_of(spec, STRATEGIES["sma_cross"].signals(bars, spec.params), optimistic=False)
    return Account(rules, [list(rows)], [[Decision(*flags) for flags in decisions]]).run()


def outcome_of(bars: Bars, spec: Spec) -> Outcome:
    signals = STRATEGIES["sma_cross"].signals(bars, spec.params)
    return simulated(Case(bars=[bars], detail=None, signals=[signals], spec=spec), optimistic=False)


def decimal_decisions(bars: Bars, spec: Spec) -> list[Flags]:
    """Crossings of averages of the decimal prices, each sum over its window from scratch."""
    cents = [round(price * 100) for price in bars.close.tolist()]
    fast, slow, both = spec.params["fast"], spec.params["slow"], spec.params["direction"] == "long_short"
    gaps = [
        sum(cents[i - fast + 1 : i + 1]) * slow - sum(cents[i - slow + 1 : i + 1]) * fast
        for i in range(slow - 1, len(cents))
    ]
    decisions = [(False, False, False, False)] * slow
    for before, now in pairwise(gaps):
        up, down = before <= 0 < now, before >= 0 > now
        decisions.append((up, down, down and both, up and both))
    return decisions


def bits_of(decisions: list[Flags]) -> list[int]:
    return [sum(mask * flag for mask, flag in zip((1, 2, 4, 8), row, strict=True)) for row in decisions]


@pytest.mark.parametrize("direction", ["long", "long_short"])
@pytest.mark.parametrize(("fast", "slow"), [(1, 2), (3, 7), (10, 30)])
def test_the_whole_strategy_on_random_walks(
    walk: Callable[[int, int], Bars], fast: int, slow: int, direction: str
) -> None:
    spec = spec_of(
        params={"fast": fast, "slow": slow, "direction": direction},
        commission=0.0004,
        slippage=0.0002,
        lot=0.001,
    )
    for seed in range(3):
        bars = walk(400, seed)
        decisions = decimal_decisions(bars, spec)
        assert STRATEGIES["sma_cross"].signals(bars, spec.params).bits.tolist() == bits_of(decisions)
        outcome = outcome_of(bars, spec)
        assert len(outcome.trades) > 3
        assert_equal(outcome, account_of(bars, decisions, spec))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded minutes lie outside the repository")
@pytest.mark.parametrize("direction", ["long", "long_short"])
def test_recorded_minutes_of_a_real_market(direction: str) -> None:
    """Signals on 30,240 recorded minutes, and the books over their first 4,000."""
    with gzip.open(RECORDED, "rt") as lines:
        table = [line.split(",") for line in lines.read().splitlines()[1:]]
    times = np.array([int(datetime.fromisoformat(row[0]).timestamp() * 1000) for row in table])
    names = ("open", "high", "low", "close", "volume")
    columns = {name: np.array([float(row[at]) for row in table]) for at, name in enumerate(names, 1)}
    bars = Bars(ts=times, **columns)
    assert len(bars) > 30_000
    params = {"fast": 10, "slow": 30, "direction": direction}
    spec = spec_of(strategy="sma_cross", params=params, commission=0.0001)
    decisions = decimal_decisions(bars, spec)
    assert STRATEGIES["sma_cross"].signals(bars, spec.params).bits.tolist() == bits_of(decisions)
    compiled_or_not = {run(bars, spec, jit=jit).fingerprint for jit in (None, False)}
    assert len(compiled_or_not) == 1
    first = bars.head(4000)
    assert_equal(outcome_of(first, spec), account_of(first, decisions[:4000], spec))
