"""What a lease set is asked and answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Unavailable(Exception):
    """Redis did not answer, or not as it should: nothing is known, and nothing may be concluded from that."""


class Beat(Enum):
    """The answer to a beat or a registration."""

    #: The mark is renewed.
    BEATING = 1
    #: The set does not know the member, because Redis lost it or it never came: register again.
    REGISTER = 0
    #: Somebody declared the holder of this token dead, or another holds the member now: stop.
    FENCED = -1


class Verdict(Enum):
    """Whether a look for the dead could act, and else why it refused."""

    ACTED = "acted"
    #: There is no boot mark: Redis lost what it knew. Rebuild the set.
    LOST = "lost"
    #: The set was rebuilt less than the time of an orphan ago: who lives has not had time to beat.
    GRACE = "grace"
    #: The server's clock was set: what is late cannot be told until everybody has had time to beat.
    CLOCK = "clock"
    #: Too large a part of the population is late at once: a partition rather than that many deaths.
    MASS = "mass"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When the members of a set count as what. Seconds, by the server's clock."""

    #: Alive up to so long after the last beat, then stale.
    stale_after: float
    #: And so long after it an orphan.
    orphan_after: float
    #: No member is an orphan so soon after it registered first.
    start_grace: float = 0.0
    #: For so long a reaper has a claim for itself; then another gets it.
    claim_for: float = 60.0
    #: Refuse to act when more than this part of the population is to be reaped at once,
    mass_share: float = 0.5
    #: if the population has at least so many members.
    mass_of: int = 10


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One member, as the set knows it."""

    member: str
    #: None: somebody wrote the mark without registering.
    token: int | None
    #: Seconds since the last beat.
    age: float
    #: The server's time of that (Unix seconds).
    beat_at: float


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A member that was taken out of the set, and is one reaper's to settle until the claim runs out."""

    member: str
    token: int | None
    #: The server's time of the last beat (Unix seconds); None where an earlier reaper left the claim behind.
    beat_at: float | None


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """What one look for the dead came to."""

    verdict: Verdict
    #: How many members there were, and how many of them were orphans.
    members: int
    orphans: int
    #: Seconds until the set may be acted on, where it is too early.
    wait: float = 0.0
    #: The server's time of the look (Unix seconds).
    at: float = 0.0
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many members there are, by condition."""

    alive: int
    stale: int
    orphaned: int
    #: Taken out by a reaper and not settled yet.
    claimed: int
    #: Seconds since the set was last rebuilt; None: it has no boot mark.
    booted: float | None

    @property
    def members(self) -> int:
        """All that have a mark."""
        return self.alive + self.stale + self.orphaned
