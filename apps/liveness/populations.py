"""Who is watched: what the database knows of each population beside its marks in Redis.

A holder is an orphan when neither of the two has heard of it in time. Redis hears of every beat; the database
now and then, and of every beat while Redis is away. So nobody is taken for dead because a server was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol

from django.db import models

from apps.liveness.leases import LeaseSet, Mark
from apps.liveness.leases.leaseset import Holder


class Kind(models.TextChoices):
    """What is wrong with an orphan."""

    ORPHAN_MARK = "orphan_mark", "Orphan mark: a mark of whom the database does not know"
    ORPHAN_TASK = "orphan_task", "Orphan task: the database knows of it, and there is no mark"
    STALE_MARK = "stale_mark", "Stale mark: it has not beaten in time"


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """Somebody who seems to be dead."""

    member: str
    token: int | None
    kind: Kind
    #: For how long it has not beaten, as far as that is known.
    silence: timedelta | None = None


class Outcome(Enum):
    """What the database makes of an orphan."""

    #: It was the holder; what follows from its death is done (or would be).
    ENDED = "ended"
    #: The database has heard of it in time.
    ALIVE = "alive"
    #: The database does not know of it, or of another holder by now.
    UNKNOWN = "unknown"
    #: Somebody is busy with it: to be looked at again.
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class Work:
    """Something that a member is busy with: where the admin shows it."""

    label: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What people are shown of a member."""

    label: str
    #: Where the admin shows it; empty: nowhere.
    url: str = ""
    detail: str = ""
    work: Sequence[Work] = ()


class Population(Protocol):
    """One kind of members, and what is to be done when they die."""

    @property
    def name(self) -> str:
        """As it stands in scans and metrics."""
        ...

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    @property
    def consequence(self) -> str:
        """What follows when a member is declared dead, for people to be told."""
        ...

    @property
    def lag(self) -> float:
        """Seconds for which the mark of a member that has ended may stay."""
        ...

    @property
    def held_by(self) -> str:
        """The population without which this one is left alone too where most of that is late; or nothing."""
        ...

    @property
    def leases(self) -> LeaseSet:
        """Its marks."""
        ...

    def holders(self) -> Iterator[Sequence[Holder]]:
        """Everybody who must have a mark, in slices."""
        ...

    def overdue(self) -> Iterator[Sequence[Holder]]:
        """Those of whom the database has not heard in time: without a mark, they are orphans."""
        ...

    def current(self, members: Sequence[str]) -> Mapping[str, int]:
        """The tokens of those of the members that the database knows to be held."""
        ...

    def seen(self, marks: Sequence[Mark]) -> None:
        """Marks that are alive and known, for the database to have heard of them."""
        ...

    def judge(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        """What `end` would do. Changes nothing."""
        ...

    def end(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        """Do what follows from the deaths, committed on return."""
        ...

    def unheard(self) -> Iterator[Sequence[Holder]]:
        """Those of whom the database has not heard for so long that Redis need not be asked."""
        ...

    def declare_dead(self, member: str, reason: str) -> bool:
        """Treat a member as dead although it may not be; it is fenced. False: it is not one (any more)."""
        ...

    def describe(self, members: Sequence[str]) -> Mapping[str, Description]:
        """What people are shown of those of the members that the database knows."""
        ...


#: What users' workers are busy with: the ids of users -> their running work.
WorkOfUsers = Callable[[Sequence[int]], Mapping[int, Sequence[Work]]]

_populations: dict[str, Population] = {}
_work_of_users: list[WorkOfUsers] = []


def register_work_of_users(provider: WorkOfUsers) -> None:
    """Have *provider* asked what users' workers are busy with."""
    _work_of_users.append(provider)


def work_of_users(user_ids: Sequence[int]) -> dict[int, list[Work]]:
    """What is running on behalf of users."""
    found: dict[int, list[Work]] = {user_id: [] for user_id in user_ids}
    for provider in _work_of_users:
        for user_id, work in provider(user_ids).items():
            found[user_id] += work
    return found


def register(population: Population) -> None:
    """Have *population* watched."""
    _populations[population.name] = population


def everyone() -> list[Population]:
    """All populations, in the order in which they are looked at."""
    return list(_populations.values())


def population(name: str) -> Population:
    """The population of that name; raises `KeyError`."""
    return _populations[name]
