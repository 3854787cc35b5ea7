"""What a card of the dashboard is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.operations.drawing import Bars, Piece
from apps.tasks.queues import Depth
from apps.tasks.stats import Backlog


@dataclass(frozen=True, kw_only=True)
class Stat:
    """One number."""

    label: str
    number: str
    tone: str = ""
    hint: str = ""
    url: str = ""
    #: Who may go there; empty: whoever sees the card.
    permission: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a list."""

    label: str
    value: str
    tone: str = ""
    url: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class QueueLine:
    """One queue: what waits on it, what runs, and what SQS says."""

    backlog: Backlog
    url: str
    #: Waiting and running, as parts of the fullest queue.
    level: Sequence[Piece]
    tone: str
    oldest: str
    rate: str
    depth: Depth | None


@dataclass(frozen=True, kw_only=True)
class Card:
    """One area."""

    name: str
    title: str
    url: str
    #: Why there is nothing to show; empty: there is.
    reason: str = ""
    wide: bool = False
    stats: Sequence[Stat] = ()
    chart: Bars | None = None
    #: Tone and meaning of what is drawn.
    legend: Sequence[tuple[str, str]] = ()
    shares: Sequence[Piece] = ()
    lines: Sequence[Line] = ()
    queues: Sequence[QueueLine] = ()
    foot: str = ""
