"""The rules in force beside those of the settings, with what came of them: for pages and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.ratelimits import selectors
from apps.ratelimits.engine import engine
from apps.ratelimits.faults import rule_of
from apps.ratelimits.limiter import Unavailable
from apps.ratelimits.models import PolicyChange
from apps.ratelimits.rules import Group, Mode, Rate, Rule


@dataclass(frozen=True, kw_only=True)
class ShownRate:
    """What a rule grants everybody, or those in a plan. Null rates: no limit."""

    plan: str
    rate: Rate | None
    in_settings: Rate | None
    #: The row that changes it, if one does.
    row: PolicyChange | None

    @property
    def text(self) -> str:
        """The rate in force."""
        return rate_text(self.rate)

    @property
    def differs(self) -> str:
        """The settings' rate where that is another; else empty."""
        return "" if self.rate == self.in_settings else rate_text(self.in_settings)


@dataclass(frozen=True, kw_only=True)
class ShownRule:
    """One rule, as it is in force."""

    rule: Rule
    rate: ShownRate
    plans: tuple[ShownRate, ...]
    mode_in_settings: Mode
    #: Requests that it denied, and that it would have denied; null: Redis does not say.
    denied: int | None
    shadowed: int | None

    @property
    def by(self) -> str:
        """Whom it counts."""
        of = {"anonymous": self.rule.anonymous, "refused credentials": self.rule.failures}
        return ", ".join([self.rule.by.value, *(name for name, is_so in of.items() if is_so)])

    @property
    def is_changed(self) -> bool:
        """Whether an operator has changed anything of it."""
        return any(one.row is not None for one in (self.rate, *self.plans))


@dataclass(frozen=True, kw_only=True)
class ShownGroup:
    """One group with its rules."""

    group: Group
    matches: tuple[str, ...]
    rules: tuple[ShownRule, ...]
    #: Requests that were let through and that were denied; null: Redis does not say.
    allowed: int | None
    denied: int | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All groups in their order, and rows that are about rules of none of them."""

    groups: tuple[ShownGroup, ...]
    gone: tuple[PolicyChange, ...]
    #: Whether Redis says what was counted.
    reachable: bool


def overview() -> Overview:
    """As this process would decide now."""
    limits = engine()
    rows = {(row.group, row.rule, row.plan): row for row in PolicyChange.objects.all()}
    counted = _counted()
    return Overview(
        groups=tuple(
            ShownGroup(
                group=group,
                matches=matches_of(group),
                rules=tuple(
                    _rule(rule, given.rule(rule.name), rows, counted) for rule in group.rules
                ),
                allowed=_of(counted, "decisions", group.name, "allowed"),
                denied=_of(counted, "decisions", group.name, "denied", "cached"),
            )
            for group, given in zip(limits.rules().groups, limits.groups, strict=True)
        ),
        gone=tuple(row for row in rows.values() if rule_of(limits.groups, row) is None),
        reachable=counted is not None,
    )  # fmt: skip


def matches_of(group: Group) -> tuple[str, ...]:
    """Which requests are in the group, a line for each kind of reason."""
    if group.is_default:
        return ("whatever no group before it has",)
    if group.is_scope:
        return ("nothing: code asks it",)
    lines = []
    if group.methods is not None:
        lines.append(f"only {', '.join(sorted(group.methods))}")
    if group.routes:
        lines.append(f"routes {', '.join(sorted(group.routes))}")
    if group.prefixes:
        lines.append(f"paths from {', '.join(group.prefixes)}")
    if group.exempt_addresses:
        lines.append(f"addresses are not counted of {', '.join(group.exempt_addresses.texts)}")
    return tuple(lines)


def rate_text(rate: Rate | None) -> str:
    """``600/m``, or that there is no limit."""
    return "no limit" if rate is None else str(rate)


Counted = Mapping[tuple[str, ...], int] | None


def _counted() -> Counted:
    try:
        return {(one.kind, *one.labels): one.count for one in selectors.counts()}
    except Unavailable:
        return None


def _of(counted: Counted, kind: str, name: str, *outcomes: str) -> int | None:
    return None if counted is None else sum(counted.get((kind, name, one), 0) for one in outcomes)


def _rule(
    rule: Rule, given: Rule, rows: Mapping[tuple[str, str, str], PolicyChange], counted: Counted
) -> ShownRule:
    def rate(plan: str) -> ShownRate:
        return ShownRate(
            plan=plan,
            rate=rule.rate_of(plan),
            in_settings=given.rate_of(plan),
            row=rows.get((rule.group, rule.name, plan)),
        )

    return ShownRule(
        rule=rule,
        rate=rate(""),
        plans=tuple(rate(plan) for plan in rule.plans),
        mode_in_settings=given.mode,
        denied=_of(counted, "denials", rule.id, "enforced"),
        shadowed=_of(counted, "denials", rule.id, "shadow"),
    )
