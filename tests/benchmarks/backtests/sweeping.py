"""Many combinations of the parameters over the same year."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.backtests.engine import run
from tests.benchmarks.backtests import data, plan, vectorbt_peer
from tests.benchmarks.backtests.children import answer
from tests.benchmarks.backtests.one_core import OneCore, seconds
from tests.benchmarks.backtests.single import TOLERANCE
from tests.benchmarks.experiment import Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_WHAT = "1,024 combinations of windows over a year of minutes, with indicators and metrics"
_UNIT = "M combination-bars/s"
#: How many of them vectorbt has room for.
_PEERS = 40
_MEGA = 1e6


@dataclass(frozen=True, kw_only=True)
class Swept:
    """Millions of combination-bars a second, the highest memory in MB, and what came out by windows.

    ``few`` is the highest memory when two of the combinations had been swept.
    """

    rate: float
    memory: float
    few: float
    finals: dict[tuple[int, int], float]
    trades: dict[tuple[int, int], int]


class _Sweeping(OneCore):
    """Every sweep is made by a process of its own, so that one does not leave memory to the next."""

    def make_ready(self) -> None:
        self.days = self.bench.size(data.YEAR, 5)
        self.bars = data.bars(days=self.days)
        self.count = self.bench.size(1024, 64)
        self._file: Path = self.bench.folder / f"{type(self).__name__.lower()}.npz"
        plan.save(self.bars, self._file)

    def swept(self, who: str, count: int) -> Swept:
        """One sweep."""
        said = answer(self.bench, "sweeper", who, str(self._file), str(count))
        windows = plan.combinations(count)
        return Swept(
            rate=count * len(self.bars) / said["seconds"] / _MEGA,
            memory=said["peak"] / _MEGA,
            few=said["few"] / _MEGA,
            finals=dict(zip(windows, said["finals"], strict=True)),
            trades=dict(zip(windows, said["trades"], strict=True)),
        )


class Sweeping(_Sweeping):
    """Against single runs, and its memory."""

    figures = (
        Figure(
            name="sweep-rate",
            what=_WHAT,
            unit=_UNIT,
            peer="single runs of ours, one after the other",
            goal=Goal(kind=Kind.OURS_AT_LEAST, value=100),
        ),
        Figure(
            name="sweep-memory",
            what=f"the highest memory of a process that makes {_WHAT}",
            unit="MB",
            peer="the same process when it had made two of them",
            goal=Goal(kind=Kind.OURS_AT_MOST, value=1000),
        ),
    )

    def sample(self, turn: int) -> Samples:
        few = plan.combinations(4)
        ours, single = self.in_turns(turn, lambda: self.swept("ours", self.count), lambda: self._singly(few))
        finals = ours.finals
        for windows, value in single[1].items():
            if windows in finals and abs(finals[windows] - value) > 1e-9 * value:
                raise Failed(f"the sweep says {finals[windows]} of {windows}, a single run {value}")
        self.remarks = {
            name: f"{self.count} combinations, {data.origin(self.days)}"
            for name in ("sweep-rate", "sweep-memory")
        }
        return {
            "sweep-rate": (ours.rate, single[0]),
            "sweep-memory": (ours.memory, ours.few),
        }

    def _singly(self, some: list[tuple[int, int]]) -> tuple[float, dict[tuple[int, int], float]]:
        specs = {pair: plan.spec(params=dict(zip(("fast", "slow"), pair, strict=True))) for pair in some}
        finals: dict[tuple[int, int], float] = {}

        def runs() -> None:
            for pair, spec in specs.items():
                finals[pair] = float(run(self.bars, spec).equity[-1])

        return len(some) * len(self.bars) / seconds(runs) / _MEGA, finals


class SweepingVectorbt(_Sweeping):
    """Against vectorbt, on as many as fit into memory; a rate by combination and bar is compared."""

    figures = (
        Figure(
            name="sweep-vectorbt",
            what=_WHAT,
            unit=_UNIT,
            peer=f"vectorbt on {_PEERS} of them, by numba or by Rust, whichever is faster",
            goal=Goal(kind=Kind.RATIO_AT_LEAST, value=30),
        ),
    )

    def obstacle(self) -> str | None:
        return vectorbt_peer.obstacle()

    def sample(self, turn: int) -> Samples:
        engines = vectorbt_peer.engines()
        count = self.bench.size(_PEERS, 4)
        ours, theirs = self.in_turns(
            turn,
            lambda: self.swept("ours", self.count),
            lambda: {engine: self.swept(engine, count) for engine in engines},
        )
        for engine, found in theirs.items():
            _compare(engine, found.trades, ours.trades)
        rates = {engine: found.rate for engine, found in theirs.items()}
        each = ", ".join(f"{rate:.3g} by {engine}" for engine, rate in rates.items())
        memory = max(found.memory for found in theirs.values())
        trades = sum(theirs["numba"].trades.values())
        self.remarks = {
            "sweep-vectorbt": f"{self.count} combinations, {data.origin(self.days)}; the peer {each}, "
            f"{memory:,.0f} MB and {trades:,} trades for {count} of them; ours {ours.memory:,.0f} MB"
        }
        return {"sweep-vectorbt": (ours.rate, max(rates.values()))}


def _compare(engine: str, theirs: dict[tuple[int, int], int], ours: dict[tuple[int, int], int]) -> None:
    """Raises `Failed` unless about as much was traded with the windows that both have tried."""
    for windows in theirs.keys() & ours.keys():
        mine, peers = ours[windows], theirs[windows]
        if abs(mine - peers) > TOLERANCE * mine + 2:
            raise Failed(f"{mine} trades of ours with {windows}, but {peers} of vectorbt by {engine}")
