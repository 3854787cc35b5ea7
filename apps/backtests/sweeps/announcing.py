"""Telling owners that their sweeps have finished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse

from apps.backtests.sweeps.models import Sweep
from apps.notifications.services import email_request

#: How many of the best the announcement tells.
_TOLD = 3


def announce(sweep: Sweep, summary: Mapping[str, Any]) -> None:
    """Ask for an e-mail to the owner, who need not have an address, in the caller's transaction."""
    failed = sweep.combinations - summary["computed"]
    pbo = ((summary["overfit"] or {}).get("pbo") or {}).get("probability")
    email_request(
        kind="sweep_finished",
        user=sweep.owner,
        about=f"sweep:{sweep.pk}",
        context={
            "sweep": str(sweep),
            "start": sweep.start,
            "end": sweep.end,
            "computed": f"{summary['computed']:,}",
            "failed": f"{failed:,}" if failed else "",
            "metric": sweep.metric.removesuffix("_pct").replace("_", " "),
            "best": [_pick(row, sweep) for row in summary["best"][:_TOLD]],
            "pbo": "" if pbo is None else f"{100 * pbo:.0f} %",
            "url": page_of(sweep),
        },
    )


def page_of(sweep: Sweep) -> str:
    """The path of the report page."""
    return reverse("sweep-report", kwargs={"sweep_id": sweep.pk})


def _pick(row: Mapping[str, Any], sweep: Sweep) -> dict[str, str]:
    """One of the best: its swept parameters and its metric."""
    value = row["metrics"][sweep.metric]
    given = ", ".join(f"{name} {row['params'][name]}" for name in sorted(sweep.space))
    return {"params": given, "value": "not defined" if value is None else f"{value:,.3f}"}
