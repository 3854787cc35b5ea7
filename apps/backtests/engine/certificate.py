"""The look-ahead certificate: signals of a prefix are the prefix of the signals, tried on the run itself.

A strategy that looked ahead, by whatever mistake in whatever indicator, decides differently when the bars
behind a decision are missing. So the signal stage is run again on a few prefixes of the data, and all it
gives is compared, bit for bit, with the head of what it gave for all bars.

Where to cut: what uses the next bars shows at the end of a prefix, and only if something is decided there,
so cuts are moved to just behind the next bar with a signal. One prefix ends soon after the warm-up, where
there is least to compute from; one lies in the last eighth of the data, with nearly everything before it; the
others are drawn from the first eighth, short ones as likely as long ones. Together they cost about one more
signal stage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from apps.backtests.engine.bars import Bars, Floats
from apps.backtests.engine.strategies.base import Signals, Strategy

METHOD, VERSION = "prefix", 1
_SOON = 256  # bars behind the warm-up


def certify(
    bars: Bars,
    strategy: Strategy,
    params: Mapping[str, Any],
    *,
    cuts: int = 3,
    seed: str | None = None,
    signals: Signals | None = None,
    check: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """The prefix test of *strategy* with valid *params* over *bars*, as JSON types.

    *cuts* is the number of prefixes, fewer where there are too few bars behind the warm-up; they follow from
    *seed*, by default from data, strategy and parameters. *signals* are those of all bars if they are there
    already. *check* is called between computations; what it raises ends the test.

    Returns:
        ``method``, ``version``, ``bars``, ``seed``, ``cuts`` (lengths of the prefixes), ``compared`` (names
        of the arrays), ``holds``, and ``differs``: null, or cut, array and bar of the first difference.
    """
    if signals is None:
        signals = strategy.signals(bars, params, check=check)
    if seed is None:
        seed = _seed(bars, strategy, params)
    whole = arrays(signals)
    drawn = _cuts(signals, len(bars), cuts, seed)
    differs = None
    for cut in drawn:
        part = strategy.signals(bars.head(cut), params, check=check)
        differs = _difference(cut, whole, arrays(part))
        if differs is None and min(part.warmup, cut) != min(signals.warmup, cut):
            differs = {"cut": cut, "array": "warmup", "bar": min(part.warmup, signals.warmup)}
        if differs is not None:
            break
    return {
        "method": METHOD,
        "version": VERSION,
        "bars": len(bars),
        "seed": seed,
        "cuts": drawn,
        "compared": list(whole),
        "holds": differs is None,
        "differs": differs,
    }


def arrays(signals: Signals) -> dict[str, Any]:
    """Every array of the signal stage by name."""
    found: dict[str, Any] = {"bits": signals.bits}
    for name in ("long_price", "short_price"):
        if getattr(signals, name) is not None:
            found[name] = getattr(signals, name)
    for name in ("stop_loss", "take_profit", "trailing"):
        level = getattr(signals, name)
        if level is not None and level.distance is not None:
            found[name] = level.distance
    return found


def _seed(bars: Bars, strategy: Strategy, params: Mapping[str, Any]) -> str:
    text = json.dumps([bars.fingerprint, strategy.document, dict(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _cuts(signals: Signals, count: int, cuts: int, seed: str) -> list[int]:
    """Lengths of the prefixes, increasing; all shorter than the data."""
    first = signals.warmup + 1
    if first >= count:
        return [count - 1] if count > 1 else []
    decided = np.flatnonzero(signals.bits)

    def draw(number: int) -> float:
        digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def behind(bar: int, last: int) -> int:
        """The length that ends with the first decision from *bar* on, if that is not behind *last*."""
        at = int(np.searchsorted(decided, bar))
        if at < len(decided) and int(decided[at]) < last:
            return int(decided[at]) + 1
        return min(bar + 1, last)

    eighth = max(count // 8, first)
    found = set()
    for number in range(cuts):
        if number == 0:
            low, high = max(count - 1 - count // 8, first), count - 1
            bar = low + int(draw(number) * (high - low))
            found.add(behind(bar, count - 1))
        elif number == 1:
            found.add(behind(first, min(first + _SOON, count - 1)))
        else:
            bar = int(first * (eighth / first) ** draw(number))
            found.add(behind(bar, min(eighth + _SOON, count - 1)))
    return sorted(found)


def _difference(cut: int, whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any] | None:
    for name, values in whole.items():
        head = values[:cut]
        if name not in part:
            return {"cut": cut, "array": name, "bar": 0}
        if head.tobytes() == part[name].tobytes():
            continue
        equal = _equal(head, part[name]) if head.dtype == np.float64 else head == part[name]
        if not equal.all():
            return {"cut": cut, "array": name, "bar": int(np.argmin(equal))}
    return None


def _equal(a: Floats, b: Floats) -> Any:
    """Bit for bit, but any NaN equals any other."""
    return (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
