"""The rules in force: those of the settings, with what was changed since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from apps.core.networks import Networks
from apps.ratelimits.rules.groups import Group, Mode, Rate, Rule

#: Addresses of the web whose group is remembered, and the longest such.
_MOST_PATHS, _LONGEST_PATH = 4096, 200


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an operator set of a rule, for everybody or for a plan. Null: as in the settings."""

    group: str
    rule: str
    plan: str = ""
    limit: int | None = None
    window: int | None = None
    mode: Mode | None = None
    #: Whether the plan has no limit.
    unlimited: bool = False


class Ruleset:
    """Groups in their order, and the addresses that are let through or shut out whatever they ask for."""

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        changes: Iterable[Change] = (),
        allowed: Networks | None = None,
        denied: Networks | None = None,
    ) -> None:
        by_rule: dict[tuple[str, str], list[Change]] = {}
        for change in changes:
            by_rule.setdefault((change.group, change.rule), []).append(change)
        self.groups = tuple(
            replace(
                group,
                rules=tuple(_changed(rule, by_rule.get((group.name, rule.name), ())) for rule in group.rules),
            )
            for group in groups
        )
        self.allowed = allowed or Networks(())
        self.denied = denied or Networks(())
        self._named = {group.name: group for group in self.groups}
        self._matching = tuple(group for group in self.groups if not group.is_scope)
        self._found: dict[tuple[str, str], Group | None] = {}

    def group(self, name: str) -> Group:
        """The group of that name; raises `LookupError`."""
        try:
            return self._named[name]
        except KeyError:
            raise LookupError(f"there is no group {name!r} of rate limits") from None

    def rule(self, id: str) -> Rule:  # noqa: A002 (a rule's id)
        """The rule of that id, ``<group>/<rule>``; raises `LookupError`."""
        group, _, name = id.partition("/")
        return self.group(group).rule(name)

    def match(self, request: HttpRequest) -> Group | None:
        """The group that the request belongs to: the first that has its route or path, and its method.

        What its address is spelled like makes no difference where it leads to the same route.
        """
        path, method = request.path_info, request.method or ""
        key = (path, method)
        try:
            return self._found[key]
        except KeyError:
            pass
        group = self._match(path, method)
        if len(path) <= _LONGEST_PATH:
            if len(self._found) >= _MOST_PATHS:
                self._found.clear()
            self._found[key] = group
        return group

    def _match(self, path: str, method: str) -> Group | None:
        route: str | None = None
        for group in self._matching:
            if group.methods is not None and method not in group.methods:
                continue
            if group.is_default or (group.prefixes and path.startswith(group.prefixes)):
                return group
            if group.routes:
                if route is None:
                    route = route_of(path)
                if route in group.routes:
                    return group
        return None


def route_of(path: str) -> str:
    """The name of the route that a path leads to; empty where it leads nowhere."""
    try:
        return resolve(path).view_name
    except Resolver404:
        return ""


def _changed(rule: Rule, changes: Iterable[Change]) -> Rule:
    plans: Mapping[str, Rate | None] = rule.plans
    for change in changes:
        base = rule.rate_of(change.plan) or rule.rate
        rate = Rate(
            base.limit if change.limit is None else change.limit,
            base.window if change.window is None else change.window,
        )
        if change.plan:
            plans = {**plans, change.plan: None if change.unlimited else rate}
        else:
            rule = replace(rule, rate=rate, mode=change.mode or rule.mode)
    return replace(rule, plans=plans)
