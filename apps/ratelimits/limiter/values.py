"""What is asked of a limiter, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import NamedTuple

#: Charges in a window up to which each has an entry of its own (about 6 bytes); above that, a 64th of the
#: window has one.
LONGEST_LOG = 1000
#: Entries of a log in ticks.
TICKS = 64
#: Milliseconds. Times are kept modulo 2^31 ms, and one may be as old as two windows.
LONGEST_WINDOW = 10 * 86_400_000
#: A count and a time share 53 bits.
LARGEST_LIMIT = 4_000_000

_SHADOW, _TICKED = 1, 2


class Algorithm(StrEnum):
    """How charges are kept. Neither ever admits more than the limit in any window."""

    #: Exact: each charge until the millisecond in which it is a window old.
    LOG = "log"
    #: Each charge for up to a 64th of the window longer, in at most 0.8 KB whatever the limit.
    TICKS = "ticks"


class Reason(StrEnum):
    """Why there is no decision."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    LOADING = "loading"
    READONLY = "readonly"
    OOM = "oom"
    BUSY = "busy"
    CLUSTER = "cluster"
    ERROR = "error"
    #: It was away a moment ago, and was not asked.
    BREAKER = "breaker"


class Unavailable(Exception):
    """Nobody can say: Redis did not answer, or cannot do what was asked. Nothing is known of a charge."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Policy:
    """At most *limit* units in any *window* milliseconds, for each subject by itself.

    Charges are kept under *id*: what has another limit or window later, and the same id, has the same past,
    as far as the windows reach. A *shadow* is counted and never denies.
    """

    id: str
    limit: int
    window: int
    shadow: bool = False
    #: Null: a log up to `LONGEST_LOG`, ticks above.
    algorithm: Algorithm | None = None
    #: As the script takes it.
    packed: tuple[bytes, bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.id or not self.id.isascii() or not self.id.isprintable() or set(self.id) & set("|{} "):
            raise ValueError(
                f"{self.id!r} is no id of a policy: printable ASCII without spaces, |, {{ and }}"
            )
        if not 0 <= self.limit <= LARGEST_LIMIT:
            raise ValueError(f"a limit is from 0 to {LARGEST_LIMIT:,}, not {self.limit:,}")
        if not 1 <= self.window <= LONGEST_WINDOW:
            raise ValueError(f"a window is from 1 ms to {LONGEST_WINDOW // 86_400_000} days")
        flags = _SHADOW * self.shadow + _TICKED * self.ticked
        object.__setattr__(self, "packed", (b"%d" % self.limit, b"%d" % self.window, b"%d" % flags))

    @property
    def ticked(self) -> bool:
        """Whether charges of a 64th of the window are kept as one."""
        return self.algorithm is Algorithm.TICKS or (self.algorithm is None and self.limit > LONGEST_LOG)

    @property
    def seconds(self) -> int:
        """The window in whole seconds, as headers have it."""
        return max(1, ceil(self.window / 1000))


class Charge(NamedTuple):
    """A policy, and whom it is asked of: a subject made by `subjects.subject`."""

    policy: Policy
    subject: str


class Result(NamedTuple):
    """What one policy says."""

    policy: Policy
    subject: str
    #: Units that are left: after the charge, if there was one.
    remaining: int
    #: Units charged in the window.
    used: int
    #: Whether the cost does not fit.
    full: bool
    #: Milliseconds: until the cost fits where it does not, else until the oldest charge ends. Null where it
    #: never will: the cost is above the limit.
    wait: int | None

    @property
    def denied(self) -> bool:
        """Whether it is for this policy that the request is denied."""
        return self.full and not self.policy.shadow


class Decision(NamedTuple):
    """What all policies of a request say. Where it is allowed, all were charged that had room; else none."""

    allowed: bool
    results: tuple[Result, ...]
    cost: int
    #: Of the rules, as last published.
    version: str
    #: Of the charge, for `Limiter.refund`.
    moment: int

    @property
    def denials(self) -> tuple[Result, ...]:
        """Those that it is denied for."""
        return tuple(one for one in self.results if one.denied)

    @property
    def wait(self) -> int | None:
        """Milliseconds until all that deny have room; null: never, or nothing is denied."""
        waits = [one.wait for one in self.denials]
        return None if None in waits or not waits else max(one for one in waits if one is not None)

    @property
    def retry_after(self) -> int | None:
        """`wait` in whole seconds, as the header has it: not too early, and at least 1."""
        wait = self.wait
        return None if wait is None else max(1, ceil(wait / 1000))
