"""The areas of ``manage.py bench``: to add one, write a module and name it here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from tests.benchmarks.experiment import Experiment

#: Area -> the module whose ``EXPERIMENTS`` it consists of. Imported when asked for, with Django set up.
AREAS = {
    "candles": "tests.benchmarks.candles.area",
    "liveness": "tests.benchmarks.liveness.area",
    "tasks": "tests.benchmarks.tasks.area",
}


def experiments(area: str) -> Sequence[type[Experiment]]:
    """The experiments of *area*, in the order in which they run."""
    found: Sequence[type[Experiment]] = import_module(AREAS[area]).EXPERIMENTS
    return found
