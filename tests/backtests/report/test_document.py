"""The document against naive computations from the same run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest

from apps.backtests.columns import decode_trades, encode_trades
from apps.backtests.engine import METRICS, Bars, Spec, run
from apps.backtests.report import wording
from apps.backtests.report.document import TRADES, report_document, trade_columns
from apps.backtests.report.outcome import Outcome, outcome_of, table_of_stored
from tests.backtests.report.running import MINUTE, NAME, NEW_YEAR, SPEC, outcome, walk

DAY = 86_400_000
LATER = NEW_YEAR + 50 * MINUTE


def documented(bars: Bars, found: Outcome, **more: Any) -> dict[str, Any]:
    return report_document(bars={NAME: bars}, outcome=found, spec=SPEC.as_dict(), timeframe="1m", **more)


def test_a_year_of_minutes_fits_into_a_document_of_json_types(
    year: Bars, year_outcome: Outcome, year_document: dict[str, Any]
) -> None:
    assert json.loads(json.dumps(year_document, allow_nan=False)) == year_document
    assert len(year_document["trades"]["side"]) == len(year_outcome.trades) > 14_000
    for name in ("equity", "drawdown", "buy_hold"):
        assert 2_000 < len(year_document[name]["ts"]) == len(year_document[name]["value"]) <= 5_000
    prices = year_document["prices"][0]
    assert 2_500 < len(prices["ts"]) <= 5_000
    assert (max(prices["high"]), min(prices["low"])) == (year.high.max(), year.low.min())
    assert (prices["open"][0], prices["close"][-1]) == (year.open[0], year.close[-1])


def test_curves_keep_the_peaks_of_the_whole_run(
    year: Bars, year_outcome: Outcome, year_document: dict[str, Any]
) -> None:
    equity = year_document["equity"]["value"]
    assert (max(equity), min(equity)) == (year_outcome.equity.max(), year_outcome.equity.min())
    assert equity[-1] == year_outcome.metrics["final_equity"]
    assert min(year_document["drawdown"]["value"]) == pytest.approx(year_outcome.metrics["max_drawdown_pct"])
    held = year_document["buy_hold"]["value"]
    assert max(held) == pytest.approx(10_000 * year.close.max() / year.close[0])
    assert held[-1] == pytest.approx(10_000 * year.close[-1] / year.close[0])


def test_months_multiply_to_years_and_years_to_the_whole() -> None:
    bars = walk(900, start=NEW_YEAR + 20 * DAY, step=DAY)
    found = outcome(bars)
    rows = documented(bars, found)["months"]
    last: dict[tuple[int, int], float] = {}
    for ts, worth in zip(bars.ts.tolist(), found.equity.tolist(), strict=True):
        moment = datetime.fromtimestamp(ts / 1000, UTC)
        last[moment.year, moment.month] = worth
    before, expected = 10_000.0, {}
    for month, worth in last.items():
        expected[month] = (worth / before - 1) * 100
        before = worth
    shown = {
        (row["year"], at + 1): value
        for row in rows
        for at, value in enumerate(row["months"])
        if value is not None
    }
    assert shown == pytest.approx(expected)
    assert [row["year"] for row in rows] == [2025, 2026, 2027]
    whole = np.prod([1 + row["total"] / 100 for row in rows])
    assert (whole - 1) * 100 == pytest.approx(found.metrics["return_pct"])


def test_a_month_without_bars_and_one_after_ruin_have_no_return() -> None:
    bars = walk(6, start=NEW_YEAR, step=40 * DAY)
    found = replace(outcome(bars), equity=np.array([10_000.0, 9_000, 0, 0, 0, 0]))
    rows = documented(bars, found)["months"]
    assert rows[0]["months"][:5] == [0.0, pytest.approx(-10), pytest.approx(-100), None, None]
    assert rows[0]["months"][3] is None


def test_trades_are_columns_that_agree_with_the_rows_of_the_engine() -> None:
    bars = walk(3_000)
    result = run(bars, SPEC)
    columns = documented(bars, outcome_of(result))["trades"]
    rows = result.trades.rows(bars.ts)
    assert columns["total"] == len(rows) > 50
    for at, row in enumerate(rows):
        for name in ("entry_time", "exit_time", "size", "entry_price", "exit_price", "pnl", "return_pct"):
            assert columns[name][at] == row[name]
        assert columns["side"][at] == (1 if row["side"] == "long" else -1)
        assert columns["reasons"][columns["reason"][at]] == row["reason"]
    stored = decode_trades(encode_trades(result.trades, result.ts), [NAME])
    again = trade_columns(table_of_stored(stored, [NAME]), 0)
    for name in ("entry_time", "exit_time", "side", "size", "pnl", "commission", "funding", "instrument"):
        assert again[name] == columns[name]
    assert again["return_pct"] == pytest.approx(columns["return_pct"])
    assert [again["reasons"][code] for code in again["reason"]] == [row["reason"] for row in rows]


def test_beyond_the_bound_the_first_trades_are_in_and_the_others_come_in_pages() -> None:
    bars = walk(3_000)
    found = outcome(bars)
    whole = documented(bars, found)["trades"]
    first = documented(bars, found, trades=40)["trades"]
    assert (len(first["pnl"]), first["total"], first["offset"]) == (40, whole["total"], 0)
    second = trade_columns(found.trades, 40, 40)
    assert first["pnl"] + second["pnl"] == whole["pnl"][:80]
    assert second["offset"] == 40
    assert trade_columns(found.trades, 10**8)["pnl"] == []
    assert TRADES == 20_000


def test_exits_and_histogram_count_every_trade(year_outcome: Outcome, year_document: dict[str, Any]) -> None:
    trades = year_document["trades"]
    names = [trades["reasons"][code] for code in trades["reason"]]
    counted = Counter(names)
    assert {row["reason"]: row["count"] for row in year_document["exits"]} == counted
    for row in year_document["exits"]:
        gains = [gain for gain, name in zip(trades["pnl"], names, strict=True) if name == row["reason"]]
        assert row["pnl"] == pytest.approx(sum(gains))
        assert row["win_rate_pct"] == pytest.approx(100 * sum(gain > 0 for gain in gains) / len(gains))
    bins = year_document["histogram"]
    edges, counts = bins["edges"], bins["counts"]
    assert sum(counts) == trades["total"]
    assert len(edges) == len(counts) + 1 <= 45
    assert 0.0 in edges
    inner = slice(1, -1)
    for low, high, count in list(zip(edges, edges[1:], counts, strict=False))[inner]:
        assert count == sum(low <= value < high for value in trades["return_pct"])


def test_metrics_have_groups_labels_units_and_definitions(year_document: dict[str, Any]) -> None:
    items = [item for section in year_document["metrics"] for item in section["items"]]
    assert sorted(item["name"] for item in items) == sorted(metric.name for metric in METRICS)
    assert all(item["label"] and item["unit"] and item["definition"] for item in items)
    assert "Other" not in [section["group"] for section in year_document["metrics"]]
    assert set(year_document["tiles"]) <= {item["name"] for item in items}
    (foreign,) = wording.grouped({"of_somebody_else": 1.0})
    assert foreign["group"] == "Other"
    assert foreign["items"][0]["label"] == "Of somebody else"


def test_bounds_make_a_band_where_bars_are_ambiguous() -> None:
    bars = walk(1_000)
    found = outcome(bars)
    # Not one bar is ambiguous without stops.
    assert found.ambiguous == 0
    assert documented(bars, found)["band"] is None
    assert documented(bars, replace(found, bounds=None))["band"] is None
    bounds = {"pessimistic": {"final_equity": 9.0}, "optimistic": {"final_equity": 11.0}}
    assert documented(bars, replace(found, ambiguous=3, bounds=bounds))["band"] == {
        "ambiguous": 3,
        "pessimistic": {"metrics": {"final_equity": 9.0}},
        "optimistic": {"metrics": {"final_equity": 11.0}},
    }


def test_ambiguous_bars_of_a_run_make_a_band() -> None:
    bars = walk(3_000)
    risk = {"stop_loss": {"pct": 0.0004}, "take_profit": {"pct": 0.0004}}
    spec = Spec.from_dict(SPEC.as_dict() | {"risk": risk})
    result = run(bars, spec)
    band = documented(bars, outcome_of(result))["band"]
    assert band["ambiguous"] == result.ambiguous > 10
    low, high = (band[name]["metrics"]["final_equity"] for name in ("pessimistic", "optimistic"))
    assert low == result.metrics["final_equity"] < high


def test_several_instruments_share_one_timeline_and_one_purchase() -> None:
    several = {"binance:BTC/USDT": walk(400), "binance:ETH/USDT": walk(400, seed=2, start=LATER)}
    early, late = several.values()
    result = run(several, SPEC)
    document = report_document(bars=several, outcome=outcome_of(result), spec=SPEC.as_dict(), timeframe="1m")
    assert document["instruments"] == list(several)
    assert [part["instrument"] for part in document["prices"]] == list(several)
    assert document["equity"]["ts"] == [NEW_YEAR + MINUTE * at for at in range(450)]
    assert document["trades"]["instrument"] == result.trades.instrument.tolist()
    assert set(document["trades"]["instrument"]) == {0, 1}
    stored = decode_trades(encode_trades(result.trades, result.ts), list(several))
    assert (
        trade_columns(table_of_stored(stored, list(several)), 0)["instrument"]
        == (document["trades"]["instrument"])
    )
    held = document["buy_hold"]["value"]
    assert held[10] == pytest.approx(5_000 * early.close[10] / early.close[0] + 5_000)
    last = 5_000 * early.close[-1] / early.close[0] + 5_000 * late.close[-1] / late.close[0]
    assert held[-1] == pytest.approx(last)


def test_a_strategy_is_described_as_it_ran() -> None:
    risk = {"stop_loss": {"pct": 0.02}}
    told = wording.strategy(SPEC.as_dict() | {"risk": risk})
    assert (told["name"], told["title"]) == ("sma_cross", "Moving-average crossover")
    assert "stop loss 2%" in told["text"]
    assert "stop loss" not in wording.strategy(SPEC.as_dict())["text"]
    mine = Spec.from_dict({"strategy": "strategy mine\nenter long when close > open\n"})
    assert wording.strategy(mine.as_dict())["text"] == mine.definition.text
    # Blocks that fit the parameters, though not the defaults, are those of a strategy, too.
    replaced = Spec(
        strategy="rsi_reversal", params={"period": 5}, risk={"stop_loss": {"pct": "period / 10"}}
    ).definition
    assert wording.strategy({"strategy": replaced.document})["text"] == replaced.text
    # One that is no more, or not any more what it was.
    assert wording.strategy({"strategy": "gone"}) == {"name": "gone"}
    assert wording.strategy({"strategy": {"name": "old", "version": 0}}) == {"name": "old"}


def test_a_run_without_trades_or_candles_is_reported_too() -> None:
    bars = walk(10)
    document = documented(bars, outcome(bars))
    assert (document["trades"]["total"], document["exits"], document["histogram"]) == (0, [], None)
    gone = documented(walk(0), outcome(bars))
    assert (gone["prices"][0]["ts"], gone["buy_hold"], gone["notes"]) == ([], None, [])
    assert (gone["start"], gone["end"]) == (int(bars.ts[0]), int(bars.ts[-1]))


def test_the_same_run_makes_the_same_bytes() -> None:
    first, second = (orjson.dumps(documented(bars, outcome(bars))) for bars in (walk(20_000), walk(20_000)))
    assert first == second
