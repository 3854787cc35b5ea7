"""One request on its way in: what it is asked for, what was said, and what its answer tells.

Nothing here waits: who asks the limiter, and how, is up to the middleware.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.core import paths
from apps.ratelimits import answers
from apps.ratelimits.engine import Engine
from apps.ratelimits.identity import ANONYMOUS, Identity, credential_of, identity_of, is_nobody
from apps.ratelimits.limiter import Charge, Decision, Result, subject
from apps.ratelimits.rules import By, Group, Outage, Rule

logger = logging.getLogger("apps.ratelimits")

_EVERYONE = subject("everyone", "all")
#: Of answers to credentials that are none.
_REFUSED = 401


class Gate:
    """The limits of one request.

    What applies to its address is asked first. What applies to its user is asked together with that where the
    user is known from a credential that was verified a moment ago; else once it is (`settle`), before the
    view does anything. Whoever is denied then has nothing charged to the address either.
    """

    __slots__ = (
        "_credential",
        "_request",
        "address",
        "charges",
        "cost",
        "decision",
        "engine",
        "group",
        "identity",
        "is_local",
        "refusal",
        "settled",
        "was_remembered",
    )

    def __init__(self, engine: Engine, group: Group, request: HttpRequest, bucket: str) -> None:
        self.engine = engine
        self._request = request
        self.group = group
        #: The subject that its address is counted as; empty where it is not.
        self.address = bucket
        self._credential = credential_of(request)
        #: Null while nobody can tell.
        self.identity = engine.verified.find(self._credential) if self._credential else ANONYMOUS
        #: Whether everything has been asked.
        self.settled = self.identity is not None or not group.needs_identity
        self.cost = cost_of(group, request)
        self.charges = tuple(self._charges(group.rules, self.identity, first=True))
        #: What was said at last; null where nothing was.
        self.decision: Decision | None = None
        #: Whether it was this process alone that said so.
        self.is_local = False
        #: Whether it is denied without Redis having been asked.
        self.was_remembered = False
        #: The answer, where it is not the view's.
        self.refusal: HttpResponse | None = None

    def _charges(self, rules: Iterable[Rule], identity: Identity | None, *, first: bool) -> Iterable[Charge]:
        plan = identity.plan if identity is not None else ""
        for rule in rules:
            if rule.failures:
                if identity is not None:
                    continue
            elif rule.needs_identity:
                if identity is None:
                    continue
            elif not first:
                continue
            name = subject_of(rule, identity or ANONYMOUS, self.address)
            policy = rule.deferred if rule.failures else rule.policy(plan)
            if policy is not None and name:
                yield Charge(policy, name)

    def remembered(self) -> bool:
        """Whether it is denied by what is known here. Then nobody else need be asked."""
        found = self.engine.denials.find(self.charges, self.cost)
        if found is None:
            return False
        self.was_remembered = True
        self._deny(found)
        return True

    def take(self, decision: Decision) -> None:
        """What the limiter says of `charges`."""
        if not decision.allowed:
            self._deny(decision)
            return
        self._count(decision)
        self.decision = _joined(self.decision, decision)

    def without_redis(self) -> None:
        """The limiter gave no answer: what the group has for that."""
        outage = self.group.outage
        self.engine.tally.count("outages", self.group.name, outage.value)
        if outage is Outage.CLOSED:
            self.refusal = answers.closed(self._request)
        elif outage is Outage.LOCAL:
            self.is_local = True
            self.take(self.engine.local.hit(self.charges, self.cost))

    def settle(self, identity: Identity) -> Decision | None:
        """It is known now who asks: `charges` are those that follow. Returns what was charged before."""
        self.identity, self.settled = identity, True
        if self._credential:
            self.engine.verified.learn(self._credential, identity)
        self.charges = tuple(self._charges(self.group.rules, identity, first=False))
        return self.decision

    def failed(self, response: HttpResponse) -> tuple[Charge, ...]:
        """What Redis has to charge now, where the credential was refused: what was asked for that."""
        if response.status_code != _REFUSED or self.identity is not None or not self.group.counts_failures:
            return ()
        policies = (rule.policy() for rule in self.group.rules if rule.failures)
        charges = tuple(Charge(one, self.address) for one in policies if one is not None and self.address)
        if self.is_local and charges:
            self.engine.local.hit(charges)
            return ()
        return charges

    def owed(self, before: Decision | None) -> Decision | None:
        """What Redis has to take back of what was charged *before*, now that the rest was asked."""
        if before is None or self.refusal is None or self.was_remembered:
            return None
        self.engine.tally.refunded(before)
        if self.is_local:
            self.engine.local.refund(before)
            return None
        return before

    def identify(self, user: Any, auth: Any = None) -> Identity:
        """Whose the request is, once *user* is known to make it. May ask the database for the plan."""
        return identity_of(user, auth, self.engine.plan_of)

    @property
    def violated(self) -> list[str]:
        """The policies that it is denied for, as far as that may be told."""
        return [one.policy.id for one in self._shown() if one.denied]

    def finish(self, response: HttpResponse) -> None:
        """The answer goes out: have it tell what is left. A credential that is over is not trusted again."""
        decision = self.decision
        if decision is not None and response is not self.refusal:
            answers.put_headers(response, self._shown())
            if not decision.allowed:
                answers.put_denial(response, decision.retry_after)
        if decision is not None:
            outcome = "allowed" if decision.allowed else "cached" if self.was_remembered else "denied"
            self.engine.tally.count("decisions", self.group.name, outcome)
        if self.identity is not None and self.identity.user and is_nobody(self._request):
            self.engine.verified.forget(self._credential)

    def _shown(self) -> list[Result]:
        if self.decision is None:
            return []
        told = self.group.told
        return [one for one in self.decision.results if not one.policy.shadow and one.policy.id in told]

    def _deny(self, decision: Decision) -> None:
        self._count(decision)
        self.decision = decision
        self.refusal = answers.denied(self._request, decision, self._shown())

    def _count(self, decision: Decision) -> None:
        self.engine.tally.decided(
            decision, request=self._request, address=self.address.removeprefix("address:")
        )


def subject_of(rule: Rule, identity: Identity, address: str) -> str:
    """Whom the rule counts a request as, given whose it is and its address's subject; empty: it does not."""
    match rule.by:
        case By.ADDRESS:
            return "" if rule.anonymous and identity.user else address
        case By.USER:
            return identity.user
        case By.KEY:
            return identity.key
        case By.EVERYONE:
            return _EVERYONE
    return ""


def cost_of(group: Group, request: HttpRequest) -> int:
    """The units that the request takes: one, where that cannot be told."""
    if group.cost is None:
        return 1
    try:
        return max(1, group.cost(request))
    except Exception:
        # It is not what the client is to suffer from.
        logger.exception("the cost of %s could not be told", paths.told(request))
        return 1


def _joined(first: Decision | None, second: Decision) -> Decision:
    return second if first is None else second._replace(results=first.results + second.results)
