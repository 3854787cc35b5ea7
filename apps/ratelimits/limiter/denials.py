"""Denials that need not be asked for again: until the time that Redis said, nothing else can follow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from threading import Lock

from apps.ratelimits.limiter.values import Charge, Decision, Result

#: Denials that are remembered at a time.
MOST = 10_000
#: Seconds for which one is believed at most, so that an operator who resets a subject is soon followed by a
#: process that nobody else asks.
LONGEST = 10.0


class Denials:
    """Whom a process need not ask Redis about.

    A denial is remembered until there is room, and no longer: the log of a subject only empties with time,
    or by what `forget` is called for.
    """

    def __init__(
        self, *, most: int = MOST, longest: float = LONGEST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._longest = longest
        self._clock = clock
        self._lock = Lock()
        self._forgot_at = -math.inf
        #: Policy's id and subject -> until when, for what cost or more, and what was said.
        self._known: dict[tuple[str, str], tuple[float, int, Result, float]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def now(self) -> float:
        """To be taken before Redis is asked, for `learn`."""
        return self._clock()

    def learn(self, decision: Decision, asked_at: float) -> None:
        """Remember whom *decision* denies, which was asked for at `now`.

        What was asked for before the last `forget` may be of before the change.
        """
        for one in decision.denials:
            free_at = asked_at + (self._longest if one.wait is None else one.wait / 1000)
            until = min(free_at, asked_at + self._longest)
            with self._lock:
                if asked_at <= self._forgot_at:
                    return
                if len(self._known) >= self._most:
                    self._make_room(asked_at)
                self._known[one.policy.id, one.subject] = (until, decision.cost, one, free_at)

    def find(self, charges: Sequence[Charge], cost: int = 1) -> Decision | None:
        """The denial of a request with these charges, as far as one is known."""
        known = self._known
        if not known:
            return None
        for policy, subject in charges:
            found = known.get((policy.id, subject))
            if found is None or policy.shadow:
                continue
            until, least, result, free_at = found
            now = self._clock()
            if now >= until:
                known.pop((policy.id, subject), None)
            elif cost >= least:
                wait = None if result.wait is None else max(1, int((free_at - now) * 1000) + 1)
                told = result._replace(policy=policy, wait=wait)
                return Decision(allowed=False, results=(told,), cost=cost, version="", moment=0)
        return None

    def forget(self) -> None:
        """Ask anew: a limit or a log has been changed by somebody."""
        with self._lock:
            self._forgot_at = self._clock()
            self._known.clear()

    def _make_room(self, now: float) -> None:
        # `find` takes out what is over at any time.
        over = [key for key, (until, *_) in list(self._known.items()) if until <= now]
        for key in over or list(self._known)[: self._most // 10 + 1]:
            self._known.pop(key, None)
