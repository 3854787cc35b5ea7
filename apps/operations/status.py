"""What everybody may be told of the installation, and what only those who run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from apps.candles import following, selectors
from apps.candles.quotes import Quote, quotes
from apps.operations import conf, parts
from apps.operations.parts import Kept, Part
from apps.operations.selectors import backtests_finished
from apps.operations.snapshot import Snapshot, snapshot
from apps.tasks.models import Process

#: Followed instruments that are shown.
_SHOWN = 12
#: Seconds for which prices serve, and what is counted over everything.
_PRICES_FRESH, _TOTALS_FRESH = 4.0, 60.0
#: Kinds of processes that nothing goes on without.
_NEEDED = {Process.Kind.WORKER: "Workers", Process.Kind.RELAY: "Relay", Process.Kind.BEAT: "Beat"}

OPERATIONAL, DEGRADED, DOWN = "operational", "degraded", "down"


@dataclass(frozen=True, kw_only=True)
class State:
    """How one server, or one kind of process, stands."""

    name: str
    #: up, down, or unknown.
    state: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Market:
    """Followed instruments: how many, and the first of them with their prices."""

    followed: int
    quotes: Sequence[Quote]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What there is of the whole installation."""

    candles: int
    backtests: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """What somebody is shown."""

    at: datetime
    overall: str
    #: None: this is not for them to know.
    states: Sequence[State] | None
    #: Names and values; a value is empty where it is not known.
    figures: Sequence[tuple[str, str]]
    quotes: Sequence[Quote]
    followed: int

    def document(self) -> dict[str, Any]:
        """The same as JSON: ``states`` is left out for whom it is not meant."""
        document: dict[str, Any] = {
            "status": self.overall,
            "figures": dict(self.figures),
            "prices": [
                {
                    "instrument": one.instrument,
                    "price": one.price,
                    "change": one.change,
                    "direction": one.direction,
                    "age": one.age,
                    "stale": one.stale,
                    "chart": one.url,
                }
                for one in self.quotes
            ],
        }
        if self.states is not None:
            document["states"] = [asdict(one) for one in self.states]
        return document


def status(user: Any) -> Status:
    """How things stand, as *user* may know it. Raises nothing."""
    seen = snapshot()
    market, totals = Part[Market](), Part[Totals]()
    if seen.servers[0].answers:
        market, totals = _market.get(), _totals.get()
    pace = seen.pace.value
    return Status(
        at=seen.at,
        overall=overall(seen),
        states=states(seen) if sees_states(user) else None,
        figures=[
            ("candles stored", f"{totals.value.candles:,}" if totals.value else ""),
            ("instruments followed", f"{market.value.followed:,}" if market.value else ""),
            ("tasks a minute", f"{pace.per_minute:,.1f}" if pace else ""),
            ("backtests finished", f"{totals.value.backtests:,}" if totals.value else ""),
        ],
        quotes=market.value.quotes if market.value else (),
        followed=market.value.followed if market.value else 0,
    )


def overall(seen: Snapshot) -> str:
    """Down without the database; degraded where a server or a kind of process is away; else operational."""
    if not seen.servers[0].answers:
        return DOWN
    works = all(one.answers for one in seen.servers) and all(seen.alive(kind) for kind in _NEEDED)
    return OPERATIONAL if works else DEGRADED


def states(seen: Snapshot) -> list[State]:
    """Servers and kinds of processes, one by one."""
    servers = [
        State(name=one.name, state="up" if one.answers else "down", detail=one.bucket or one.reason)
        for one in seen.servers
    ]
    return [*servers, *(_process(seen, kind, name) for kind, name in _NEEDED.items())]


def _process(seen: Snapshot, kind: Process.Kind, name: str) -> State:
    alive = seen.alive(kind)
    if alive is None:
        return State(name=name, state="unknown", detail=seen.processes.reason)
    return State(name=name, state="up" if alive else "down", detail=f"{alive:,} alive")


def sees_states(user: Any) -> bool:
    """Whether somebody is told which server or process is up: staff, and everybody where that is public."""
    return conf.status_public() or bool(user is not None and user.is_staff)


def _look_at_market() -> Part[Market]:
    def look() -> Market:
        followed = selectors.instruments(followed=True, active=True)
        return Market(followed=followed.count(), quotes=quotes(list(followed[:_SHOWN])))

    return parts.part(look)


def _look_at_totals() -> Part[Totals]:
    return parts.part(lambda: Totals(candles=following.stored(), backtests=backtests_finished()))


_market = Kept(_look_at_market, seconds=_PRICES_FRESH)
_totals = Kept(_look_at_totals, seconds=_TOTALS_FRESH)


def forget() -> None:
    """Look anew when asked next."""
    _market.forget()
    _totals.forget()
