"""The setting ``RATELIMITS_GROUPS``: read strictly, with errors that say where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import TextChoices
from django.utils.module_loading import import_string

from apps.core.networks import Networks
from apps.ratelimits.rules.groups import NAME, By, CostFunction, Group, Mode, Outage, Rate, Rule

_GROUP = frozenset(
    {
        "name", "routes", "prefixes", "methods", "rules", "exempt", "exempt_addresses", "outage", "cost",
        "expose",
    }
)  # fmt: skip
#: What a rule may have.
RULE_OPTIONS = frozenset({"by", "rate", "plans", "anonymous", "failures", "mode", "expose"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

Choice = TypeVar("Choice", bound=TextChoices)


class InvalidRules(ValueError):
    """The rules cannot be so; the text says which, and why."""


def read_groups(given: Any) -> tuple[Group, ...]:
    """The groups in their order: the first that has an endpoint is its group. Raises `InvalidRules`."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InvalidRules("it has to be a list of groups")
    groups = tuple(_group(one, number) for number, one in enumerate(given, 1))
    names = [group.name for group in groups]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRules(f"there are several groups {name}")
    if "default" in names[:-1]:
        raise InvalidRules("the group default has whatever no group before it has: it has to be the last one")
    return groups


def _group(given: Any, number: int) -> Group:
    if not isinstance(given, Mapping):
        raise InvalidRules(f"group {number} has to be an object")
    name = given.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidRules(f"group {number} needs a name of lower-case letters, digits, - and _: {name!r}")
    where = f"group {name}"
    _check_known(given, _GROUP, where)
    exempt = _flag(given, "exempt", where)
    rules = given.get("rules", {})
    if not isinstance(rules, Mapping):
        raise InvalidRules(f"{where}: rules have to be an object, from a rule's name to what it is")
    if exempt and rules:
        raise InvalidRules(f"{where} is exempt and has rules")
    if not exempt and not rules:
        raise InvalidRules(f'{where} has no rules; say so by "exempt": true')
    try:
        addresses = Networks(_texts(given, "exempt_addresses", where))
    except ValueError as exc:
        raise InvalidRules(f"{where}: exempt_addresses: {exc}") from None
    methods = frozenset(one.upper() for one in _texts(given, "methods", where))
    if unknown := methods - _METHODS:
        raise InvalidRules(f"{where}: there is no method {', '.join(sorted(unknown))}")
    if "GET" in methods:
        methods |= {"HEAD"}
    prefixes = _texts(given, "prefixes", where)
    for prefix in prefixes:
        if not prefix.startswith("/"):
            raise InvalidRules(f"{where}: the prefix {prefix!r} has to begin with /")
    group = Group(
        name=name,
        routes=frozenset(_texts(given, "routes", where)),
        prefixes=prefixes,
        methods=methods or None,
        rules=tuple(_rules(name, rules, _flag(given, "expose", where, default=True))),
        exempt=exempt,
        exempt_addresses=addresses,
        outage=_choice(Outage, given, "outage", Outage.OPEN, where),
        cost=_cost(given.get("cost"), where),
    )
    for rule in group.rules:
        if (rule.by is By.SUBJECT) != group.is_scope:
            raise InvalidRules(
                f"{where}: rule {rule.name}: by subject is for groups without routes and prefixes, and these"
                " have no others"
            )
    return group


def _rules(group: str, given: Mapping[Any, Any], exposed: bool) -> Iterator[Rule]:
    for name, one in given.items():
        where = f"group {group}: rule {name}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidRules(f"{where}: a name is lower-case letters, digits, - and _")
        if not isinstance(one, Mapping):
            raise InvalidRules(f"{where} has to be an object")
        _check_known(one, RULE_OPTIONS, where)
        by = _choice(By, one, "by", None, where)
        anonymous, failures = _flag(one, "anonymous", where), _flag(one, "failures", where)
        if (anonymous or failures) and by is not By.ADDRESS:
            raise InvalidRules(f"{where}: who has not been verified has an address only")
        if anonymous and failures:
            raise InvalidRules(f"{where}: who fails to be verified has come with something: not anonymous")
        plans = one.get("plans", {})
        if not isinstance(plans, Mapping):
            raise InvalidRules(f"{where}: plans have to be an object, from a plan to its rate")
        if plans and by not in (By.USER, By.KEY):
            raise InvalidRules(f"{where}: only who has been verified has a plan")
        if "rate" not in one:
            raise InvalidRules(f"{where} needs a rate")
        yield Rule(
            group=group,
            name=name,
            by=by,
            rate=_rate(one["rate"], where),
            plans={
                _plan(plan, where): None if rate is None else _rate(rate, where)
                for plan, rate in plans.items()
            },
            anonymous=anonymous,
            failures=failures,
            mode=_choice(Mode, one, "mode", Mode.ENFORCE, where),
            expose=_flag(one, "expose", where, default=exposed),
        )


def _plan(name: Any, where: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidRules(f"{where}: {name!r} is no name of a plan")
    return name


def _rate(given: Any, where: str) -> Rate:
    try:
        return Rate.parse(str(given))
    except ValueError as exc:
        raise InvalidRules(f"{where}: {exc}") from None


def _check_known(given: Mapping[Any, Any], known: frozenset[str], where: str) -> None:
    if unknown := [str(key) for key in given if key not in known]:
        raise InvalidRules(f"{where}: there is no {', '.join(unknown)}; there are {', '.join(sorted(known))}")


def _texts(given: Mapping[Any, Any], key: str, where: str) -> tuple[str, ...]:
    found = given.get(key, ())
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise InvalidRules(f"{where}: {key} has to be a list")
    for one in found:
        if not isinstance(one, str) or not one:
            raise InvalidRules(f"{where}: {key} has to be a list of texts, {one!r} is none")
    return tuple(found)


def _flag(given: Mapping[Any, Any], key: str, where: str, *, default: bool = False) -> bool:
    found = given.get(key, default)
    if not isinstance(found, bool):
        raise InvalidRules(f"{where}: {key} is true or false")
    return found


def _choice(
    kind: type[Choice], given: Mapping[Any, Any], key: str, default: Choice | None, where: str
) -> Choice:
    found = given.get(key, default)
    try:
        return kind(found)
    except ValueError:
        known = ", ".join(kind.values)
        raise InvalidRules(f"{where}: {key} is one of {known}, not {found!r}") from None


def _cost(path: Any, where: str) -> CostFunction | None:
    if path is None:
        return None
    try:
        found = import_string(path)
    except (ImportError, TypeError, AttributeError) as exc:
        raise InvalidRules(f"{where}: cost: {exc}") from None
    if not callable(found):
        raise InvalidRules(f"{where}: cost: {path} cannot be called")
    return found  # type: ignore[no-any-return]
