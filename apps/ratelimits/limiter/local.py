"""The same limits within one process, for when Redis is away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

from apps.ratelimits.limiter.values import Charge, Decision, Policy, Result

#: Of a limiter: who was asked for longest ago is forgotten first.
MOST_LOGS = 10_000

_Log = deque[tuple[int, int]]


class LocalLimiter:
    """As `Limiter`, of what this process sees; its memory has an end.

    At most *most* logs are kept, so an attacker with many names may have itself forgotten. Where *share*
    processes do the same, each admits its part of a limit: at least one unit, where the limit is not 0.
    """

    def __init__(
        self, *, share: int = 1, most: int = MOST_LOGS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        #: Policy's id and subject -> when how many units were charged, oldest first.
        self._logs: OrderedDict[tuple[str, str], _Log] = OrderedDict()

    def hit(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """Charge *cost* units to all, if all that deny have room for it; else to none."""
        if cost < 1:
            raise ValueError(f"a cost is at least 1, not {cost}")
        with self._lock:
            now = int(self._clock() * 1000)
            found = self._look(charges, cost, now)
            if not found.allowed:
                return found
            results = []
            for one in found.results:
                if one.full:
                    results.append(one)
                    continue
                self._log(one.policy, one.subject).append((now, cost))
                used = one.used + cost
                wait = one.wait if one.used else one.policy.window + 1
                limit = self._limit(one.policy)
                results.append(one._replace(remaining=limit - used, used=used, wait=wait))
            return found._replace(results=tuple(results))

    def peek(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """What `hit` would say now."""
        with self._lock:
            return self._look(charges, cost, int(self._clock() * 1000))

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
                if log and not one.full and (charged.moment, charged.cost) in log:
                    log.remove((charged.moment, charged.cost))

    def reset(self, subject: str, policies: Iterable[Policy | str]) -> int:
        """Forget what was charged. Returns to how many."""
        ids = [policy if isinstance(policy, str) else policy.id for policy in policies]
        with self._lock:
            return sum(bool(self._logs.pop((policy, subject), None)) for policy in ids)

    def __len__(self) -> int:
        return len(self._logs)

    def _limit(self, policy: Policy) -> int:
        return max(1, policy.limit // self._share) if policy.limit else 0

    def _log(self, policy: Policy, subject: str) -> _Log:
        key = (policy.id, subject)
        log = self._logs.setdefault(key, deque())
        self._logs.move_to_end(key)
        while len(self._logs) > self._most:
            self._logs.popitem(last=False)
        return log

    def _look(self, charges: Sequence[Charge], cost: int, now: int) -> Decision:
        results = tuple(self._result(policy, subject, cost, now) for policy, subject in charges)
        allowed = not any(one.denied for one in results)
        return Decision(allowed=allowed, results=results, cost=cost, version="", moment=now)

    def _result(self, policy: Policy, subject: str, cost: int, now: int) -> Result:
        log = self._logs.get((policy.id, subject), deque())
        while log and now - log[0][0] > policy.window:
            log.popleft()
        limit = self._limit(policy)
        used = sum(units for _, units in log)
        full = used + cost > limit
        wait: int | None = 0
        if full:
            wait = None
            room = limit - used
            for moment, units in log if cost <= limit else ():
                room += units
                if room >= cost:
                    wait = policy.window - (now - moment) + 1
                    break
        elif log:
            wait = policy.window - (now - log[0][0]) + 1
        return Result(policy, subject, max(0, limit - used), used, full, wait)
