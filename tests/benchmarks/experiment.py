"""What an area consists of: experiments, each of which measures some figures in turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, TypeVar

from tests.benchmarks import cpu
from tests.benchmarks.figures import Figure
from tests.benchmarks.sqs_control import SqsControl

T = TypeVar("T")

#: Figure -> what we and the peer came to in one repetition.
Samples = Mapping[str, tuple[float, float]]


class Failed(Exception):
    """Something could not be measured; the text is for the person at the terminal."""


@dataclass(kw_only=True)
class Bench:
    """What experiments share in one run."""

    sqs: SqsControl
    sqs_pid: int
    environ: Mapping[str, str]
    """The variables for processes that an experiment starts."""
    folder: Path
    """Where processes keep their logs."""
    quick: bool
    settle: float
    """Seconds that each measurement waits at most for a moment in which nothing else runs."""
    say: Callable[[str], None]
    closing: ExitStack = field(default_factory=ExitStack)
    _shared: dict[type[Any], Any] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        """How many of something: *quick* where only the working is to be seen."""
        return quick if self.quick else full

    def shared(self, make: type[T]) -> T:
        """The one ``make(self)`` of this run, a context manager that is entered when first asked for."""
        if make not in self._shared:
            self._shared[make] = self.closing.enter_context(make(self))  # type: ignore[call-arg, type-var]
        found: T = self._shared[make]
        return found


class Experiment(ABC):
    """Measures *figures* side by side, one repetition at a time."""

    figures: ClassVar[Sequence[Figure]]

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        #: Figure -> what else there is to say about it, for the report.
        self.remarks: dict[str, str] = {}

    def obstacle(self) -> str | None:
        """Why this cannot be measured here, so that its figures are left out; None when it can."""
        return None

    @abstractmethod
    def prepare(self) -> None:
        """What comes once, before the first repetition, such as a first run that warms up."""

    @abstractmethod
    def measure(self, turn: int) -> Samples:
        """One repetition of both; who comes first changes with *turn*. Raises `Failed`."""

    def in_turns(self, turn: int, ours: Callable[[], T], peer: Callable[[], T]) -> tuple[T, T]:
        """The values of both, computed in an order that changes with *turn*."""
        if turn % 2:
            second = self._settled(peer)
            return self._settled(ours), second
        first = self._settled(ours)
        return first, self._settled(peer)

    def by_turns(
        self,
        turn: int,
        ours: Callable[[], float],
        peer: Callable[[], float],
        times: int,
        *,
        of: Callable[[Sequence[float]], float] = median,
    ) -> tuple[float, float]:
        """Both so many times, one after the other: what disturbs one disturbs both. The medians of each.

        Where few are affordable, *of* may be the best of them: what else the machine does only slows down.
        """
        mine, theirs = zip(*(self.in_turns(turn + time, ours, peer) for time in range(times)), strict=True)
        return of(mine), of(theirs)

    def _settled(self, measure: Callable[[], T]) -> T:
        cpu.wait_for_quiet(self.bench.settle)
        return measure()
