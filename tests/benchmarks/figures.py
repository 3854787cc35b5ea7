"""What is measured and what is promised of it: figures, goals, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any


class Kind(Enum):
    """How a goal is to be read. The ratio is ours divided by the peer's."""

    RATIO_AT_LEAST = "ratio ≥ {value:g}"
    RATIO_AT_MOST = "ratio ≤ {value:g}"
    OURS_AT_LEAST = "ours ≥ {value:g}"
    OURS_AT_MOST = "ours ≤ {value:g}"
    EXCESS_AT_MOST = "ours ≤ peer + {value:g}"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A promise."""

    kind: Kind
    value: float

    def __str__(self) -> str:
        return self.kind.value.format(value=self.value)

    def holds(self, ours: float, peer: float) -> bool:
        """Whether these two keep it."""
        match self.kind:
            case Kind.RATIO_AT_LEAST:
                return ours >= self.value * peer
            case Kind.RATIO_AT_MOST:
                return ours <= self.value * peer
            case Kind.OURS_AT_LEAST:
                return ours >= self.value
            case Kind.OURS_AT_MOST:
                return ours <= self.value
            case Kind.EXCESS_AT_MOST:
                return ours <= peer + self.value


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that is measured of us and of a peer, in one unit.

    Without a goal it is shown for comparison only.
    """

    name: str
    what: str
    unit: str
    peer: str
    goal: Goal | None = None


@dataclass(kw_only=True)
class Row:
    """A figure with all its samples, one pair for each repetition."""

    figure: Figure
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    remark: str = ""
    """What else there is to say about this run's."""

    def add(self, ours: float, peer: float) -> None:
        """Keep the samples of one repetition."""
        self.ours.append(ours)
        self.peer.append(peer)

    @property
    def ratio(self) -> float:
        """Our median divided by the peer's."""
        peer = median(self.peer)
        return median(self.ours) / peer if peer else float("inf")

    @property
    def holds(self) -> bool | None:
        """Whether the medians keep the goal; None without one."""
        goal = self.figure.goal
        return None if goal is None else goal.holds(median(self.ours), median(self.peer))

    def as_json(self) -> dict[str, Any]:
        """The row for machines."""
        figure = self.figure
        return {
            "name": figure.name,
            "what": figure.what,
            "unit": figure.unit,
            "compared_with": figure.peer,
            "ours": median(self.ours),
            "peer": median(self.peer),
            "ratio": self.ratio if median(self.peer) else None,
            "goal": None if figure.goal is None else str(figure.goal),
            "holds": self.holds,
            "remark": self.remark,
            "samples": {"ours": self.ours, "peer": self.peer},
        }


def missed(rows: Sequence[Row]) -> list[str]:
    """The names of those whose goal is not kept."""
    return [row.figure.name for row in rows if row.holds is False]
