"""All areas one after another, each in a process and on a stack of its own; one table of their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks import report

_HEAD = ("area", "figure", "ours", "peer", "unit", "ratio", "goal", "holds", "compared with")
_MISSED, _BROKEN = 1, 2


def run(
    areas: Sequence[str],
    arguments: Sequence[str],
    say: Callable[[str], None],
    keep: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any], int]:
    """Measure *areas*; the document of all of them, and the exit status: 0, 1 (a goal is missed) or 2.

    An area that cannot be measured is named in the document, and the others are measured all the same.
    *keep* is given the document as it is after each area, so that an interruption costs that area alone.
    """
    documents: list[Mapping[str, Any]] = []
    broken: list[str] = []
    document = together(documents)
    for number, area in enumerate(areas, 1):
        say(f"{area} ({number} of {len(areas)})")
        command = [sys.executable, "-m", "tests.benchmarks", area, "--json", *arguments]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        # Python's own status for what nobody foresaw is that of a goal that is missed.
        if answer.returncode in {0, _MISSED} and answer.stdout:
            documents.append(json.loads(answer.stdout))
        else:
            broken.append(area)
        document = together(documents) | {"broken": [*broken]}
        keep(document)
    return document, _BROKEN if broken else _MISSED if document["missed"] else 0


def together(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One document of those of several areas, whose machine is that of the first."""
    return {
        "machine": documents[0]["machine"] if documents else None,
        "repeat": documents[0]["repeat"] if documents else None,
        "quick": any(each["quick"] for each in documents),
        "rows": [{"area": each["area"], **row} for each in documents for row in each["rows"]],
        "missed": [f"{each['area']}/{name}" for each in documents for name in each["missed"]],
        "left_out": {
            f"{each['area']}/{name}": why for each in documents for name, why in each["left_out"].items()
        },
        "broken": [],
    }


def markdown(document: Mapping[str, Any]) -> str:
    """The document as one table, under the machine that it was measured on."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    if document["machine"] is not None:
        quick = " Small numbers: they show that it works, no more." if document["quick"] else ""
        conditions = report.conditions(document["machine"])
        yield f"Medians of {document['repeat']} on {conditions}. The ratio is ours / peer.{quick}"
        yield ""
    yield _row(_HEAD)
    yield _row(["---"] * len(_HEAD))
    for row in document["rows"]:
        ratio = row["ratio"]
        yield _row(
            (
                row["area"],
                f"`{row['name']}`: {row['what']}",
                report.number(row["ours"]),
                report.number(row["peer"]),
                row["unit"],
                "" if ratio is None else f"{ratio:.2f}",
                row["goal"] or "",
                {True: "yes", False: "**no**", None: ""}[row["holds"]],
                row["compared_with"],
            )
        )
    for name, why in document["left_out"].items():
        yield f"\nLeft out: {name}: {why}."
    for area in document["broken"]:
        yield f"\n{area} could not be measured: see what it said."


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
