"""From a request over HTTP to the result in the client's hands, and where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from statistics import median
from typing import Any

from apps.backtests.engine import run
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.benchmarks.backtests import data, plan
from tests.benchmarks.backtests.one_core import milliseconds
from tests.benchmarks.backtests.stack import Stack
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind

_FACTOR = 3
_LIMIT = 60.0
_EVERY = 0.005
#: What lies between being asked, the run's moments and the result's being seen.
_PARTS = ("until requested", "until published", "until started", "running", "until seen")
#: States from which no result comes.
_ENDED = (State.DEAD, State.CANCELLED)


class Service(Experiment):
    """One user who asks for one backtest after the other and looks every few milliseconds."""

    figures = (
        Figure(
            name="service",
            what="from a request over HTTP to the result over a year of minutes, by web, relay and worker",
            unit="ms",
            peer=f"{_FACTOR} times the engine's own time for it",
            goal=Goal(kind=Kind.EXCESS_AT_MOST, value=150),
        ),
    )

    def prepare(self) -> None:
        self._stack = self.bench.shared(Stack)
        self._bars = data.bars(days=self._stack.days)
        #: Never the same twice: what was asked for before would be answered by the stored result.
        self._cash: Iterator[float] = (plan.CASH + number for number in count())
        self._parts: list[dict[str, float]] = []
        for _ in range(2):
            cash = next(self._cash)
            found = self._ask(cash)[1]
            result = run(self._bars, plan.spec(cash=cash))
            if found["fingerprint"] != result.fingerprint:
                raise Failed("the service has another result than the engine")

    def _body(self, cash: float) -> dict[str, Any]:
        return {
            "instrument": self._stack.instrument,
            "timeframe": "1m",
            "start": self._stack.start.isoformat(),
            "end": self._stack.end.isoformat(),
            **plan.asked(cash=cash),
        }

    def _ask(self, cash: float) -> tuple[float, dict[str, Any]]:
        """The milliseconds and the result. What they consist of is kept."""
        client, body = self._stack.client, self._body(cash)
        asked_at, began = datetime.now(UTC), time.perf_counter()
        accepted = client.ask("POST", "/api/v1/backtests", body)
        answered = time.perf_counter()
        path = f"/api/v1/backtests/{accepted['id']}"
        while not (shown := client.ask("GET", path)).get("result"):
            if shown["state"] in _ENDED or time.perf_counter() - began > _LIMIT:
                self._stack.check()
                raise Failed(f"a backtest is {shown['state']}: {shown.get('error')}")
            time.sleep(_EVERY)
        total = 1000 * (time.perf_counter() - began)
        if shown.get("reused"):
            raise Failed("a stored result was given for a request that is new")
        self._keep(shown, asked_at, total, 1000 * (answered - began))
        return total, shown["result"]

    def _keep(self, shown: dict[str, Any], asked_at: datetime, total: float, answered: float) -> None:
        """What one consists of, in milliseconds: by the times of its run, and by those in its result."""
        with self._stack.place.entered():
            done = TaskRun.objects.get(pk=shown["task_run"])
        # The clock of the database is that of this machine.
        seen_at = asked_at + timedelta(milliseconds=total)
        moments = (asked_at, done.requested_at, done.published_at, done.started_at, done.finished_at, seen_at)
        parts = {name: _between(*pair) for name, pair in zip(_PARTS, pairwise(moments), strict=True)}
        within = shown["result"].get("timings") or {}
        parts |= {f"running: {name}": spent for name, spent in within.items()}
        self._parts.append({"in all": total, "the answer to the request": answered, **parts})

    def sample(self) -> tuple[float, float]:
        """The milliseconds of one, and of the engine alone."""
        cash = next(self._cash)
        spec = plan.spec(cash=cash)
        return self._ask(cash)[0], milliseconds(lambda: run(self._bars, spec))

    def measure(self, turn: int) -> Samples:
        self._parts.clear()
        pairs = [self.sample() for _ in range(self.bench.size(7, 1))]
        ours, engine = (median(values) for values in zip(*pairs, strict=True))
        listed = ", ".join(
            f"{name} {median(parts.get(name, 0.0) for parts in self._parts):.3g}" for name in self._parts[0]
        )
        self.remarks = {
            "service": f"{data.origin(self._stack.days)}; the engine alone {engine:.3g} ms; medians in ms "
            f"at last: {listed}"
        }
        return {"service": (ours, _FACTOR * engine)}


def _between(first: datetime | None, second: datetime | None) -> float:
    assert first is not None
    assert second is not None
    spent: float = 1000 * (second - first).total_seconds()
    return spent
