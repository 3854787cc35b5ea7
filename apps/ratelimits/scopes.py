"""Limits that code asks for itself: in tasks, in views, before an e-mail is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.ratelimits.answers import OUTAGE
from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.limiter import Charge, Decision, Result, Unavailable, subject
from apps.ratelimits.rules import Group, Outage


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether something may be done now."""

    allowed: bool
    #: Seconds until it may be; null: at once, or never.
    retry_after: int | None = None
    #: What each rule says; empty where nobody could be asked.
    results: tuple[Result, ...] = ()
    #: What was charged, and whether by this process alone; for `Scope.refund`.
    decision: Decision | None = None
    is_local: bool = False

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def is_unknown(self) -> bool:
        """Whether it is denied only because nobody could be asked."""
        return not self.allowed and not self.results


class Scope:
    """A group without endpoints, asked of any subject: ``scope("webhook-signals").hit("endpoint", id)``.

    Where Redis gives no answer, the group's `outage` says what follows; nothing is raised for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def hit(self, kind: str, name: str, cost: int = 1) -> Verdict:
        """Charge *cost* units to the subject under all rules, if all have room for it; else under none.

        Raises `LookupError` where the settings have no such group, and `ValueError` for an empty name.
        """
        limits = engine()
        group, charges = self._asked(limits, kind, name)
        if not charges:
            return Verdict(allowed=True)
        found = limits.denials.find(charges, cost)
        if found is not None:
            return self._told(limits, found, cached=True)
        try:
            return self._told(limits, limits.hit(charges, cost))
        except Unavailable:
            return self._without_redis(limits, group, charges, cost)

    async def ahit(self, kind: str, name: str, cost: int = 1) -> Verdict:
        """`hit`, for coroutines."""
        limits = engine()
        await limits.arules()
        group, charges = self._asked(limits, kind, name)
        if not charges:
            return Verdict(allowed=True)
        found = limits.denials.find(charges, cost)
        if found is not None:
            return self._told(limits, found, cached=True)
        try:
            return self._told(limits, await limits.ahit(charges, cost))
        except Unavailable:
            return self._without_redis(limits, group, charges, cost)

    def peek(self, kind: str, name: str, cost: int = 1) -> Verdict:
        """What `hit` would say now. Raises `Unavailable` where Redis gives no answer."""
        limits = engine()
        limits.breaker.check()
        return _verdict(limits.limiter.peek(self._asked(limits, kind, name)[1], cost))

    def refund(self, verdict: Verdict) -> None:
        """Take back what a `hit` charged, if it did; where Redis is away meanwhile, that stays."""
        if not verdict.allowed or verdict.decision is None:
            return
        limits = engine()
        limits.tally.refunded(verdict.decision)
        if verdict.is_local:
            limits.local.refund(verdict.decision)
        else:
            limits.refund(verdict.decision)

    def reset(self, kind: str, name: str) -> None:
        """Forget what was charged to the subject. Raises `Unavailable` where Redis gives no answer."""
        limits = engine()
        charges = self._asked(limits, kind, name)[1]
        limits.limiter.reset(subject(kind, name), [charge.policy for charge in charges])
        limits.announce()

    def _asked(self, limits: Engine, kind: str, name: str) -> tuple[Group, tuple[Charge, ...]]:
        group = limits.rules().group(self.name)
        who = subject(kind, name)
        policies = (rule.policy() for rule in group.rules)
        return group, tuple(Charge(policy, who) for policy in policies if policy is not None)

    def _told(self, limits: Engine, decision: Decision, *, cached: bool = False) -> Verdict:
        outcome = "allowed" if decision.allowed else "cached" if cached else "denied"
        limits.tally.count("decisions", self.name, outcome)
        limits.tally.decided(decision)
        return _verdict(decision)

    def _without_redis(self, limits: Engine, group: Group, charges: Sequence[Charge], cost: int) -> Verdict:
        limits.tally.count("outages", group.name, group.outage.value)
        if group.outage is Outage.LOCAL:
            return replace(self._told(limits, limits.local.hit(charges, cost)), is_local=True)
        allowed = group.outage is Outage.OPEN
        return Verdict(allowed=allowed, retry_after=None if allowed else OUTAGE)


def _verdict(decision: Decision) -> Verdict:
    return Verdict(
        allowed=decision.allowed,
        retry_after=decision.retry_after,
        results=decision.results,
        decision=decision,
    )


def scope(name: str) -> Scope:
    """The limits of the group *name* of ``RATELIMITS_GROUPS``."""
    return Scope(name)
