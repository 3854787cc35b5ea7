"""A run as one document of JSON types: all that a report shows, and small enough to be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.backtests.engine import Bars
from apps.backtests.engine.bars import Floats
from apps.backtests.report import wording
from apps.backtests.report.curves import curve, drawdown
from apps.backtests.report.drawing import Drawing, drawing_of
from apps.backtests.report.outcome import Outcome, TradeTable
from apps.backtests.report.periods import calendar

#: Raised with every change that a reader of documents has to know of.
VERSION = 1

#: The most trades in a document, and in one further page of them.
TRADES = 20_000

#: Bars of the histogram of trade returns.
_BINS = 41


def report_document(
    *,
    bars: Mapping[str, Bars],
    outcome: Outcome,
    spec: Mapping[str, Any],
    timeframe: str,
    trades: int = TRADES,
) -> dict[str, Any]:
    """The report of one run: the document of `drawn_document`.

    *bars* are the candles by instrument, in the order that trades count instruments in, at least one
    instrument; one without bars is shown without a price.
    """
    return drawn_document(
        instruments=list(bars),
        drawing=drawing_of(list(bars.values()), float(spec["cash"])),
        outcome=outcome,
        spec=spec,
        timeframe=timeframe,
        trades=trades,
    )


def drawn_document(
    *,
    instruments: Sequence[str],
    drawing: Drawing,
    outcome: Outcome,
    spec: Mapping[str, Any],
    timeframe: str,
    title: str = "",
    strategy: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    trades: int = TRADES,
) -> dict[str, Any]:
    """The report of one run, of whose candles there is a drawing.

    *instruments* are named in the order that trades count them in. *spec* is `Spec.as_dict`; *strategy* may
    hold ``name``, ``title``, ``description`` and ``text``; *notes* are sentences for the reader.

    The document, all times in ms since 1970 UTC, money in the quote currency, percent as percent:

    - ``kind`` is ``report``, ``version`` is `VERSION`; ``title``, ``strategy``, ``instruments``,
      ``timeframe``, ``step`` (ms of a bar), ``start`` and ``end`` (open times of the first and the last
      bar), ``bars``, ``cash``, ``notes``.
    - ``metrics``: headings with their metrics; ``tiles``: names of those to show first. ``settings``:
      headings with ``name`` and ``value``; ``spec``: the whole specification.
    - ``prices``: for each instrument the columns of `buckets`, of at most `POINTS` bars.
    - ``equity``, ``drawdown`` (percent), ``buy_hold`` (the cash in equal parts in each instrument from its
      first close, no costs; None without candles): columns ``ts`` and ``value``, of at most `POINTS`
      points, with every peak.
    - ``band``: ``ambiguous``, and ``pessimistic`` and ``optimistic``, each with ``metrics``; None where the
      run has no bounds, or no ambiguous bar.
    - ``months``: see `calendar`.
    - ``trades``: see `trade_columns`; ``exits``: by reason ``count``, ``pnl`` and ``win_rate_pct``, the most
      frequent first; ``histogram``: see `histogram`.
    - ``certificate``, and ``identity`` with ``spec_hash``, ``data_fingerprint``, ``engine_version`` and
      ``fingerprint``.
    """
    cash = float(spec["cash"])
    first, last = int(outcome.ts[0]), int(outcome.ts[-1])
    table = outcome.trades
    known = dict(strategy or {}) or wording.strategy(spec)
    return {
        "kind": "report",
        "version": VERSION,
        "title": title or str(known.get("title") or known.get("name") or "Backtest"),
        "strategy": known,
        "instruments": list(instruments),
        "timeframe": timeframe,
        "step": drawing.step,
        "start": first,
        "end": last,
        "bars": drawing.bars,
        "cash": cash,
        "notes": list(notes),
        "tiles": [name for name in wording.TILES if name in outcome.metrics],
        "metrics": wording.grouped(outcome.metrics),
        "settings": wording.settings(spec),
        "spec": wording.in_order(spec),
        "prices": [
            {"instrument": name, **one} for name, one in zip(instruments, drawing.prices, strict=True)
        ],
        "equity": curve(outcome.ts, outcome.equity),
        "drawdown": curve(outcome.ts, drawdown(outcome.equity)),
        "buy_hold": drawing.buy_hold,
        "band": _band(outcome),
        "months": calendar(outcome.ts, outcome.equity, cash),
        "trades": trade_columns(table, 0, trades),
        "exits": exits(table),
        "histogram": histogram(table.return_ * 100),
        "certificate": dict(outcome.certificate) if outcome.certificate is not None else None,
        "identity": {
            "spec_hash": outcome.spec_hash,
            "data_fingerprint": outcome.data_fingerprint,
            "engine_version": outcome.engine_version,
            "fingerprint": outcome.fingerprint,
        },
    }


def trade_columns(table: TradeTable, start: int, count: int = TRADES) -> dict[str, Any]:
    """*count* trades from *start* on, as columns in the order of their exits.

    ``total`` is the number of all trades and ``offset`` is *start*; ``size`` is positive, ``side`` is 1 for a
    long and -1 for a short; ``reason`` counts into ``reasons``, ``instrument`` into the report's
    instruments.
    """
    part = table.part(start, start + count)
    return {
        "total": len(table),
        "offset": start,
        "reasons": list(table.reasons),
        "entry_time": part.entry_time.tolist(),
        "exit_time": part.exit_time.tolist(),
        "side": np.where(part.size < 0, -1, 1).tolist(),
        "size": np.abs(part.size).tolist(),
        "entry_price": part.entry_price.tolist(),
        "exit_price": part.exit_price.tolist(),
        "pnl": part.pnl.tolist(),
        "return_pct": (part.return_ * 100).tolist(),
        "commission": part.commission.tolist(),
        "funding": part.funding.tolist(),
        "reason": part.reason.tolist(),
        "instrument": part.instrument.tolist(),
    }


def exits(table: TradeTable) -> list[dict[str, Any]]:
    """What each reason to end a trade came to, the most frequent first."""
    size = len(table.reasons)
    counts = np.bincount(table.reason, minlength=size)
    gains = np.bincount(table.reason, table.pnl, minlength=size)
    wins = np.bincount(table.reason, table.pnl > 0, minlength=size)
    found = [
        {
            "reason": table.reasons[place],
            "count": int(counts[place]),
            "pnl": float(gains[place]),
            "win_rate_pct": 100 * float(wins[place]) / int(counts[place]),
        }
        for place in np.flatnonzero(counts).tolist()
    ]
    return sorted(found, key=lambda one: -one["count"])


def histogram(values: Floats) -> dict[str, list[Any]] | None:
    """How many values lie in bins of one width: ``edges`` (one more than bins), ``counts``; None of nothing.

    Zero is an edge. What lies beyond the 0.5th and the 99.5th percentile, where that is far out, is counted
    in the outermost bins.
    """
    if not len(values):
        return None
    low, high = (float(edge) for edge in np.percentile(values, [0.5, 99.5]))
    width = max((high - low) / (_BINS - 2), 1e-9)
    first, last = int(np.floor(low / width)), int(np.floor(high / width)) + 1
    places = np.clip(np.floor(values / width), first, last - 1).astype(np.int64) - first
    counts = np.bincount(places, minlength=last - first)
    return {"edges": [width * edge for edge in range(first, last + 1)], "counts": counts.tolist()}


def _band(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.bounds is None or outcome.ambiguous == 0:
        return None
    bounds = {name: {"metrics": dict(outcome.bounds[name])} for name in ("pessimistic", "optimistic")}
    return {"ambiguous": outcome.ambiguous, **bounds}
