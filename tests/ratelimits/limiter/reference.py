"""A limiter that is obviously right, and slow: it remembers every charge, and adds them up each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from apps.ratelimits.limiter import Charge, Policy

Entry = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What is said of one policy."""

    full: bool
    used: int
    remaining: int
    wait: int | None


@dataclass(kw_only=True)
class Reference:
    """Charges of each policy and subject, as (time, units), oldest first."""

    logs: dict[tuple[str, str], list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def live(self, charge: Charge, now: int, longer: int = 0) -> list[Entry]:
        """What was charged in the window, or *longer* than that."""
        policy, subject = charge
        return [
            (time, units)
            for time, units in self.logs[policy.id, subject]
            if now - time <= policy.window + longer
        ]

    def used(self, charge: Charge, now: int, longer: int = 0) -> int:
        return sum(units for _, units in self.live(charge, now, longer))

    def says(self, charge: Charge, cost: int, now: int) -> Said:
        """Of a request that is not charged."""
        limit, window = charge.policy.limit, charge.policy.window
        live = self.live(charge, now)
        used = self.used(charge, now)
        full = used + cost > limit
        wait: int | None = live[0][0] + window + 1 - now if live else 0
        if full and cost > limit:
            wait = None
        elif full:
            times = [time for time, units in live for _ in range(units)]
            wait = times[used + cost - limit - 1] + window + 1 - now
        return Said(full=full, used=used, remaining=max(0, limit - used), wait=wait)

    def peek(self, charges: Sequence[Charge], cost: int, now: int) -> tuple[bool, list[Said]]:
        said = [self.says(charge, cost, now) for charge in charges]
        denied = [one.full and not charge.policy.shadow for one, charge in zip(said, charges, strict=True)]
        return not any(denied), said

    def hit(self, charges: Sequence[Charge], cost: int, now: int) -> tuple[bool, list[Said]]:
        """All are asked first; then all are charged that have room."""
        allowed, said = self.peek(charges, cost, now)
        if not allowed:
            return allowed, said
        after = []
        for charge, before in zip(charges, said, strict=True):
            if before.full:
                after.append(before)
                continue
            self.charge(charge, cost, now)
            used = before.used + cost
            wait = before.wait if before.used else charge.policy.window + 1
            after.append(Said(full=False, used=used, remaining=max(0, charge.policy.limit - used), wait=wait))
        return allowed, after

    def charge(self, charge: Charge, cost: int, now: int, longer: int = 0) -> None:
        """What is over for the policy as it is now is forgotten: a longer window later does not see it."""
        policy, subject = charge
        self.logs[policy.id, subject] = [*self.live(charge, now, longer), (now, cost)]

    def refund(self, policy: Policy, subject: str, time: int, cost: int) -> None:
        log = self.logs[policy.id, subject]
        if (time, cost) in log:
            log.remove((time, cost))
