"""What a run is worth: every metric, its unit, its definition and where that is published.

Every name in ``METRICS`` is in every result. A metric that is undefined for a run (no trade, no
loss, too few days, beyond float64) is None, never infinite and never NaN. Metrics are computed from
equity and trades with numpy, whose logarithms and powers may differ in the last digit between
machines: they are not part of a result's fingerprint.
"""

from __future__ import annotations

from apps.backtests.engine.metrics.market import buy_and_hold
from apps.backtests.engine.metrics.measurement import measure
from apps.backtests.engine.metrics.periods import periods_per_year
from apps.backtests.engine.metrics.table import METRICS, Metric, Value, metrics_markdown

__all__ = [
    "METRICS",
    "Metric",
    "Value",
    "buy_and_hold",
    "measure",
    "metrics_markdown",
    "periods_per_year",
]
