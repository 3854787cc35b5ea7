"""Groups of endpoints, and the rules of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from django.db.models import TextChoices
from django.http import HttpRequest

from apps.core.networks import Networks
from apps.core.rates import parse_rate, rate_text
from apps.ratelimits.limiter import Policy
from apps.ratelimits.limiter.values import LARGEST_LIMIT, LONGEST_WINDOW

#: Of groups, of rules and of plans. Keys and headers are made of them.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

CostFunction = Callable[[HttpRequest], int]


class By(TextChoices):
    """Whose requests are counted together."""

    ADDRESS = "address", "Address: those from one IPv4 address, or one IPv6 network"
    USER = "user", "User: those of one user, who has been verified"
    KEY = "key", "Key: those with one API key, which has been verified"
    EVERYONE = "everyone", "Everyone: all there are"
    SUBJECT = "subject", "Subject: what the code names that asks; of groups without addresses"


class Mode(TextChoices):
    """What follows from a rule."""

    ENFORCE = "enforce", "Enforce: what is too much is denied"
    SHADOW = "shadow", "Shadow: what would be denied is counted and logged, and served"
    OFF = "off", "Off: nothing is counted"


class Outage(TextChoices):
    """What becomes of requests while Redis gives no answer."""

    OPEN = "open", "Open: all are served"
    CLOSED = "closed", "Closed: none is served"
    LOCAL = "local", "Local: each process counts by itself"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *limit* units in any *window* milliseconds."""

    limit: int
    window: int

    def __post_init__(self) -> None:
        if not 0 <= self.limit <= LARGEST_LIMIT:
            raise ValueError(f"a limit is from 0 to {LARGEST_LIMIT:,}, not {self.limit:,}")
        if not 1_000 <= self.window <= LONGEST_WINDOW or self.window % 1_000:
            raise ValueError(f"a window is whole seconds, up to {LONGEST_WINDOW // 86_400_000} days")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """``600/m``, ``20/5m``, ``10/s``, ``1000/d``. Raises `ValueError`."""
        limit, seconds = parse_rate(text)
        return cls(limit=limit, window=1_000 * seconds)

    def __str__(self) -> str:
        return rate_text(self.limit, self.window // 1_000)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One limit of a group."""

    group: str
    name: str
    by: By
    rate: Rate
    #: Rates of plans that differ; null: no limit.
    plans: Mapping[str, Rate | None] = field(default_factory=lambda: MappingProxyType({}))
    #: Only for requests of nobody.
    anonymous: bool = False
    #: Only for requests whose credential has not been verified; counted are those that are refused for it.
    failures: bool = False
    mode: Mode = Mode.ENFORCE
    #: Whether headers tell of it.
    expose: bool = True
    _policies: dict[str, Policy | None] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def id(self) -> str:
        """What its charges are kept under, whatever its rate."""
        return f"{self.group}/{self.name}"

    @cached_property
    def needs_identity(self) -> bool:
        """Whether it cannot be asked before it is known who makes the request."""
        return self.anonymous or self.by is By.USER or self.by is By.KEY

    def rate_of(self, plan: str) -> Rate | None:
        """What it grants in a plan; null: no limit."""
        return self.plans.get(plan, self.rate)

    def policy(self, plan: str = "") -> Policy | None:
        """What the limiter is to be asked for somebody in that plan; null: nothing."""
        known = plan if plan in self.plans else ""
        try:
            return self._policies[known]
        except KeyError:
            pass
        rate = self.rate_of(known)
        made = None
        if rate is not None and self.mode is not Mode.OFF:
            made = Policy(self.id, rate.limit, rate.window, shadow=self.mode is Mode.SHADOW)
        return self._policies.setdefault(known, made)

    @cached_property
    def deferred(self) -> Policy | None:
        """As `policy`, for as long as it is not known whether there is something to charge."""
        policy = self.policy()
        return None if policy is None else replace(policy, deferred=True)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Endpoints whose requests are counted together, and how."""

    name: str
    routes: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    #: Null: all.
    methods: frozenset[str] | None = None
    rules: tuple[Rule, ...] = ()
    exempt: bool = False
    #: Addresses that its rules do not count.
    exempt_addresses: Networks = field(default_factory=lambda: Networks(()))
    outage: Outage = Outage.OPEN
    #: How many units a request takes; null: one.
    cost: CostFunction | None = None

    @property
    def is_default(self) -> bool:
        """Whether it has what no other group has."""
        return self.name == "default"

    @property
    def is_scope(self) -> bool:
        """Whether it has no endpoints, and is asked by code alone."""
        return not (self.routes or self.prefixes or self.is_default)

    @cached_property
    def needs_identity(self) -> bool:
        """Whether it has to be known who makes a request."""
        return self.counts_failures or any(rule.needs_identity for rule in self.rules)

    @cached_property
    def counts_failures(self) -> bool:
        """Whether any of its rules counts credentials that are refused."""
        return any(rule.failures for rule in self.rules)

    @cached_property
    def told(self) -> frozenset[str]:
        """The ids of the rules that headers tell of."""
        return frozenset(rule.id for rule in self.rules if rule.expose)

    def rule(self, name: str) -> Rule:
        """One of its rules; raises `LookupError`."""
        for one in self.rules:
            if one.name == name:
                return one
        raise LookupError(f"group {self.name} has no rule {name!r}")
