"""The same limits within one process, for when Redis is away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from math import ceil

from apps.ratelimits.limiter.values import TICKS, Charge, Decision, Policy, Result

#: Of a limiter: who was charged longest ago is forgotten first.
MOST_LOGS = 10_000
#: In all logs of a limiter, about 100 bytes each.
MOST_ENTRIES = 200_000


class _Log:
    """When how many units were charged, oldest first."""

    __slots__ = ("entries", "over_at", "used")

    def __init__(self) -> None:
        self.entries: list[tuple[int, int]] = []
        self.used = 0
        #: From when on nothing of it counts.
        self.over_at = 0

    def over(self, now: int, window: int) -> list[tuple[int, int]]:
        """Entries that are older than *window*."""
        return list(takewhile(lambda entry: now - entry[0] > window, self.entries))

    def charge(self, policy: Policy, cost: int, now: int) -> int:
        """Add an entry, or to the last one, and drop those that are over. Returns how many more there are."""
        before = len(self.entries)
        over = self.over(now, policy.window)
        del self.entries[: len(over)]
        units = cost
        if self.entries and self.entries[-1][0] // _width(policy) == now // _width(policy):
            units += self.entries.pop()[1]
        self.entries.append((now, units))
        self.used += cost - sum(units for _, units in over)
        self.over_at = now + policy.window + 1
        return len(self.entries) - before

    def refund(self, policy: Policy, cost: int, charged_at: int) -> int:
        """Take units from the entry of that time. Returns how many entries fewer there are."""
        width = _width(policy)
        for index, (moment, units) in enumerate(self.entries):
            if moment >= charged_at:
                if moment // width != charged_at // width:
                    break
                self.used -= min(units, cost)
                if units > cost:
                    self.entries[index] = (moment, units - cost)
                    break
                del self.entries[index]
                return 1
        return 0


class LocalLimiter:
    """As `Limiter`, of what this process sees; its memory has an end.

    At most *most* logs are kept, so an attacker with many names may have itself forgotten. Where *share*
    processes do the same, each admits its part of a limit: at least one unit, where the limit is not 0.
    """

    def __init__(
        self,
        *,
        share: int = 1,
        most: int = MOST_LOGS,
        most_entries: int = MOST_ENTRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share = share
        self._most, self._most_entries = most, most_entries
        self._clock = clock
        self._lock = threading.Lock()
        #: Policy's id and subject -> what was charged. Who was charged last is last.
        self._logs: OrderedDict[tuple[str, str], _Log] = OrderedDict()
        self._entries = 0

    def hit(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """Charge *cost* units to all, if all that deny have room for it; else to none."""
        if cost < 1:
            raise ValueError(f"a cost is at least 1, not {cost}")
        with self._lock:
            now = self._now()
            found = self._look(charges, cost, now)
            if not found.allowed:
                return found
            results = tuple(one if one.full else self._charge(one, cost, now) for one in found.results)
            self._forget()
            return found._replace(results=results)

    def peek(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """What `hit` would say now."""
        if cost < 0:
            raise ValueError(f"a cost is not {cost}")
        with self._lock:
            return self._look(charges, cost, self._now())

    def stats(self, charges: Sequence[Charge]) -> tuple[Result, ...]:
        """How much is used of each and how much is left."""
        return self.peek(charges, 0).results

    def refund(self, charged: Decision) -> None:
        """Take back what `hit` charged."""
        if not charged.allowed:
            return
        with self._lock:
            for one in charged.results:
                log = self._logs.get((one.policy.id, one.subject))
                if log and not one.full:
                    self._entries -= log.refund(one.policy, charged.cost, charged.moment)

    def reset(self, subject: str, policies: Iterable[Policy | str]) -> int:
        """Forget what was charged to *subject*. Returns how many policies had any."""
        ids = [policy if isinstance(policy, str) else policy.id for policy in policies]
        with self._lock:
            logs = [log for one in ids if (log := self._logs.pop((one, subject), None)) is not None]
            self._entries -= sum(len(log.entries) for log in logs)
            now = self._now()
            return sum(bool(log.entries) and now < log.over_at for log in logs)

    def __len__(self) -> int:
        return len(self._logs)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _limit(self, policy: Policy) -> int:
        return max(1, policy.limit // self._share) if policy.limit else 0

    def _charge(self, one: Result, cost: int, now: int) -> Result:
        key = (one.policy.id, one.subject)
        log = self._logs.setdefault(key, _Log())
        self._logs.move_to_end(key)
        self._entries += log.charge(one.policy, cost, now)
        used = one.used + cost
        wait = one.wait if one.used else one.policy.window + 1
        return one._replace(remaining=self._limit(one.policy) - used, used=used, wait=wait)

    def _forget(self) -> None:
        while len(self._logs) > self._most or (self._entries > self._most_entries and len(self._logs) > 1):
            _, log = self._logs.popitem(last=False)
            self._entries -= len(log.entries)

    def _look(self, charges: Sequence[Charge], cost: int, now: int) -> Decision:
        results = tuple(self._result(policy, subject, cost, now) for policy, subject in charges)
        allowed = not any(one.denied for one in results)
        return Decision(allowed=allowed, results=results, cost=cost, version="", moment=now)

    def _result(self, policy: Policy, subject: str, cost: int, now: int) -> Result:
        log = self._logs.get((policy.id, subject), _EMPTY)
        over = log.over(now, policy.window)
        limit = self._limit(policy)
        used = log.used - sum(units for _, units in over)
        full = used + cost > limit
        wait: int | None = 0
        if full:
            wait = None
            room = limit - used
            for moment, units in log.entries[len(over) :] if cost <= limit else ():
                room += units
                if room >= cost:
                    wait = policy.window - (now - moment) + 1
                    break
        elif used:
            wait = policy.window - (now - log.entries[len(over)][0]) + 1
        return Result(policy, subject, max(0, limit - used), used, full, wait)


_EMPTY = _Log()


def _width(policy: Policy) -> int:
    return ceil(policy.window / TICKS) if policy.ticked else 1
