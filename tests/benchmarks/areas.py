"""The areas of ``manage.py bench``: to add one, write a module and name it here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from tests.benchmarks.experiment import Experiment, Failed

#: Area -> the module whose ``EXPERIMENTS`` it consists of. Imported when asked for, with Django set up.
AREAS = {
    "backtests": "tests.benchmarks.backtests.area",
    "candles": "tests.benchmarks.candles.area",
    "liveness": "tests.benchmarks.liveness.area",
    "ratelimits": "tests.benchmarks.ratelimits.area",
    "tasks": "tests.benchmarks.tasks.area",
    "trading": "tests.benchmarks.trading.area",
}
#: Area -> what it needs of ``requirements/bench.txt``: known without importing the area, which may import it.
PEERS = {
    "backtests": ("vectorbt", "vectorbt-rust"),
    "candles": ("SQLAlchemy",),
    "liveness": (),
    "ratelimits": ("limits", "django-ratelimit"),
    "tasks": (),
    "trading": (),
}


def experiments(area: str) -> Sequence[type[Experiment]]:
    """The experiments of *area*, in the order in which they run.

    Raises `Failed` where it needs a package that is not installed.
    """
    try:
        found: Sequence[type[Experiment]] = import_module(AREAS[area]).EXPERIMENTS
    except ModuleNotFoundError as exc:
        raise Failed(f"{area} needs {exc.name}, which is not installed") from exc
    return found
