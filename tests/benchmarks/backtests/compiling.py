"""What compilation costs where workers were warmed up, and what a run costs without it."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from apps.backtests.engine import run, warm_up
from tests.benchmarks.backtests import data, plan
from tests.benchmarks.backtests.children import answer
from tests.benchmarks.backtests.one_core import OneCore, milliseconds
from tests.benchmarks.experiment import Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

#: So few that a child's first touch of the memory for its arrays, which is no compiling, counts for little.
_BARS = 1440


class FirstCall(OneCore):
    """In children of a process that was warmed up, as the pool of a worker is."""

    figures = (
        Figure(
            name="jit-first",
            what=f"a first run over {_BARS} minutes in a forked child of a process that has called warm_up()",
            unit="ms",
            peer="a first run in a child of the same process once it has run itself, with nothing to compile",
            goal=Goal(kind=Kind.EXCESS_AT_MOST, value=5),
        ),
    )

    def make_ready(self) -> None:
        self._file: Path = self.bench.folder / "first_call.npz"
        plan.save(data.bars(days=1).head(_BARS), self._file)

    def sample(self, turn: int) -> Samples:
        children = self.bench.size(15, 1)
        said = answer(self.bench, "first_call", str(self._file), str(children))
        if not said["compiled"]:
            raise Failed("numba cannot be used here")
        firsts, seconds = zip(*said["pairs"], strict=True)
        least = median(first for first, _ in said["after"])
        # Both are the first of a child, which has memory to touch; only one may have something to compile.
        self.remarks = {
            "jit-first": f"medians of {children} children; the slowest first run {max(firsts):.3g} ms; "
            f"second runs of the same children {median(seconds):.3g} ms"
        }
        return {"jit-first": (median(firsts), least)}


class WithoutNumba(OneCore):
    """The same source by the interpreter."""

    figures = (
        Figure(
            name="jit-without",
            what="the run over a year of minutes without numba (jit=False)",
            unit="ms",
            peer="with numba",
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=40),
        ),
    )

    def make_ready(self) -> None:
        if not warm_up():
            raise Failed("numba cannot be used here")
        days = self.bench.size(data.YEAR, 5)
        self._bars, self._spec = data.bars(days=days), plan.spec()
        if len({run(self._bars, self._spec, jit=jit).fingerprint for jit in (True, False)}) > 1:
            raise Failed("a run without numba has another result than one with it")
        self.remarks = {"jit-without": f"{data.origin(days)}; both results are the same to the bit"}

    def _time(self, jit: bool) -> float:
        return milliseconds(lambda: run(self._bars, self._spec, jit=jit))

    def sample(self, turn: int) -> Samples:
        return {
            "jit-without": self.in_turns(
                turn,
                lambda: self._time(False),
                lambda: median(self._time(True) for _ in range(self.bench.size(5, 1))),
            )
        }
