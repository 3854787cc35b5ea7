"""Two or more runs side by side, as one document of JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.backtests.report import wording
from apps.backtests.report.document import VERSION

#: The most moments at which the growth of the runs is drawn.
POINTS = 3_000


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One of the runs; *url* is where its report is, *start* and *end* are the first and the last open time
    of its range (ms).
    """

    title: str
    url: str
    instruments: tuple[str, ...]
    timeframe: str
    start: int
    end: int


def comparison_document(runs: Sequence[Compared], found: Mapping[str, Any]) -> dict[str, Any]:
    """Runs side by side; *found* is what `comparing.compared` says of them, as the API gives it.

    ``kind`` is ``comparison``; ``runs`` have ``title``, ``url``, ``instruments``, ``timeframe``, ``start``
    and ``end``; ``metrics`` are rows with ``name``, ``label``, ``unit``, ``definition`` and ``values``, one
    of each run or None; ``settings`` are rows with ``name`` (dotted) and ``values`` of what is not the same
    for all runs; ``equity`` has ``ts``, when bars close, and ``growth`` of 1 over the time that all of them
    cover, a list of each run; ``correlation`` a row of each run.
    """
    rows = []
    for section in wording.grouped(dict.fromkeys(found["metrics"])):
        for item in section["items"]:
            del item["value"]
            rows.append({**item, "values": found["metrics"][item["name"]]})
    return {
        "kind": "comparison",
        "version": VERSION,
        "runs": [
            {
                "title": run.title,
                "url": run.url,
                "instruments": list(run.instruments),
                "timeframe": run.timeframe,
                "start": run.start,
                "end": run.end,
            }
            for run in runs
        ],
        "metrics": rows,
        "settings": [
            {"name": name, "values": found["differences"][name]}
            for name in wording.settings_in_order(found["differences"])
        ],
        "equity": found["equity"],
        "correlation": found["correlation"],
    }
