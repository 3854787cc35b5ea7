"""Experiments that compare engines: all on one core, in turns."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable

from tests.benchmarks import cpu
from tests.benchmarks.experiment import Experiment, Samples


class OneCore(Experiment):
    """Its preparation and its repetitions have one core, also where they start processes or threads."""

    def prepare(self) -> None:
        with cpu.one_core():
            self.make_ready()

    def measure(self, turn: int) -> Samples:
        with cpu.one_core():
            return self.sample(turn)

    @abstractmethod
    def make_ready(self) -> None:
        """See `Experiment.prepare`."""

    @abstractmethod
    def sample(self, turn: int) -> Samples:
        """See `Experiment.measure`."""


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def milliseconds(action: Callable[[], object]) -> float:
    """The same in thousandths."""
    return 1000 * seconds(action)
