"""Two or more runs side by side, as one document of JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.backtests.report import wording
from apps.backtests.report.curves import curve
from apps.backtests.report.document import VERSION
from apps.backtests.report.outcome import Outcome

#: The fewest and the most runs that are compared.
FEWEST, MOST = 2, 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """One of the runs; *url* is where its report is, or empty."""

    title: str
    url: str
    instruments: tuple[str, ...]
    timeframe: str
    spec: Mapping[str, Any]
    outcome: Outcome


def comparison_document(runs: Sequence[Compared]) -> dict[str, Any]:
    """Runs side by side.

    ``kind`` is ``comparison``; ``runs`` have ``title``, ``url``, ``instruments``, ``timeframe``, ``start``
    and ``end`` (ms), ``cash`` and ``equity`` (columns ``ts`` and ``value``); ``metrics`` are rows with
    ``name``, ``label``, ``unit``, ``definition`` and ``values``, one of each run or None; ``settings`` are
    rows with ``name`` (dotted) and ``values`` of what is not the same in all specifications.
    """
    named: dict[str, dict[str, Any]] = {}
    for at, run in enumerate(runs):
        for section in wording.grouped(run.outcome.metrics):
            for item in section["items"]:
                value = item.pop("value")
                row = named.setdefault(item["name"], {**item, "values": [None] * len(runs)})
                row["values"][at] = value
    flat = [_flat(wording.in_order(run.spec)) for run in runs]
    names = dict.fromkeys(name for one in flat for name in one)
    differing = [name for name in names if any(one.get(name) != flat[0].get(name) for one in flat)]
    return {
        "kind": "comparison",
        "version": VERSION,
        "runs": [
            {
                "title": run.title,
                "url": run.url,
                "instruments": list(run.instruments),
                "timeframe": run.timeframe,
                "start": int(run.outcome.ts[0]),
                "end": int(run.outcome.ts[-1]),
                "cash": float(run.spec["cash"]),
                "equity": curve(run.outcome.ts, run.outcome.equity),
            }
            for run in runs
        ],
        "metrics": list(named.values()),
        "settings": [{"name": name, "values": [one.get(name) for one in flat]} for name in differing],
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects by dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
