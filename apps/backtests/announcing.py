"""Telling owners that their backtests have finished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse

from apps.backtests.engine import METRICS
from apps.backtests.models import Backtest
from apps.notifications.services import email_request

#: What the announcement tells: metrics by name.
_ANNOUNCED = ("final_equity", "return_pct", "buy_hold_return_pct", "max_drawdown_pct", "sharpe", "n_trades")


def announce(backtest: Backtest, metrics: Mapping[str, Any]) -> None:
    """Ask for an e-mail to the owner, who need not have an address, in the caller's transaction.

    Backtests that a sweep has asked for are not announced one by one.
    """
    if hasattr(backtest, "picked"):
        return
    units = {metric.name: metric.unit for metric in METRICS}
    email_request(
        kind="backtest_finished",
        user=backtest.owner,
        about=f"backtest:{backtest.pk}",
        context={
            "strategy": backtest.strategy,
            "instrument": backtest.where,
            "timeframe": backtest.timeframe,
            "start": backtest.start,
            "end": backtest.end,
            "figures": [_figure(name, metrics[name], units[name]) for name in _ANNOUNCED if name in units],
            "url": page_of(backtest),
        },
    )


def page_of(backtest: Backtest) -> str:
    """The path of the report page."""
    return reverse("backtest-report", kwargs={"backtest_id": backtest.pk})


def _figure(name: str, value: float | int | None, unit: str) -> dict[str, str]:
    """One metric for people to read."""
    label = name.removesuffix("_pct").replace("_", " ")
    if value is None:
        return {"name": label, "value": "not defined for this run"}
    if unit == "count":
        return {"name": label, "value": f"{value:,.0f}"}
    return {"name": label, "value": f"{value:,.2f}{' %' if unit == '%' else ''}"}
