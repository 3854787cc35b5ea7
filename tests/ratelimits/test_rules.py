"""Groups and rules as the settings have them, and as they are changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as configured
from django.test import RequestFactory

from apps.ratelimits.checks import check_rules
from apps.ratelimits.rules import By, Change, InvalidRules, Mode, Outage, Rate, Ruleset, read_groups
from tests.ratelimits.requesting import by_address, by_user, group

RULES = {"address": by_address("5/m")}


def test_rates_are_read_and_written():
    for text, limit, window in (
        ("600/m", 600, 60_000), ("10/s", 10, 1_000), ("20/5m", 20, 300_000), ("1000/d", 1000, 86_400_000),
        ("5 / 30s", 5, 30_000), ("0/h", 0, 3_600_000),
    ):  # fmt: skip
        rate = Rate.parse(text)
        assert (rate.limit, rate.window) == (limit, window)
        assert Rate.parse(str(rate)) == rate
    assert str(Rate(7, 90_000)) == "7/90s"
    assert str(Rate(7, 120_000)) == "7/2m"
    with pytest.raises(ValueError, match="whole seconds"):
        Rate(7, 1_500)
    for text in ("", "5", "5/x", "-1/m", "5/m/s", "5/0m", "5/11d", "5000000/m", "1e3/m", "５/m"):
        with pytest.raises(ValueError, match=r"rate|window|limit"):
            Rate.parse(text)


def test_a_group_is_read_with_its_defaults():
    [found] = read_groups([group("default", {"address": by_address("5/m")})])
    assert (found.name, found.is_default, found.is_scope, found.exempt) == ("default", True, False, False)
    assert (found.methods, found.outage, found.cost) == (None, Outage.OPEN, None)
    [rule] = found.rules
    assert (rule.id, rule.by, rule.mode, rule.expose) == ("default/address", By.ADDRESS, Mode.ENFORCE, True)
    assert found.rule("address") is rule
    with pytest.raises(LookupError, match="no rule 'other'"):
        found.rule("other")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "a list of groups"),
        ("text", "a list of groups"),
        (["text"], "group 1 has to be an object"),
        ([{"rules": RULES}], "group 1 needs a name"),
        ([group("Api", RULES)], "needs a name of lower-case"),
        ([group("a|b", RULES)], "needs a name of lower-case"),
        ([group("a", RULES, prefix=["/"])], "group a: there is no prefix; there are"),
        ([group("a", RULES, prefixes="/")], "prefixes has to be a list"),
        ([group("a", RULES, prefixes=["api/"])], "has to begin with /"),
        ([group("a", RULES, routes=[""])], "routes has to be a list of texts"),
        ([group("a", RULES, routes=["x"], methods=["FETCH"])], "no method FETCH"),
        ([group("a", RULES, routes=["x"], outage="maybe")], "outage is one of open, closed, local"),
        ([group("a", RULES, routes=["x"], cost="no.such.thing")], "cost: No module"),
        ([group("a", RULES, routes=["x"], cost="apps.ratelimits.tally.KEPT")], "cannot be called"),
        ([group("a", RULES, routes=["x"], cost=7)], "cost"),
        ([group("a", routes=["x"])], "has no rules"),
        ([group("a", RULES, exempt=True)], "is exempt and has rules"),
        ([group("a", exempt="yes")], "exempt is true or false"),
        ([group("a", RULES, routes=["x"], exempt_addresses=["10.0.0.0/33"])], "exempt_addresses"),
        ([{"name": "a", "rules": []}], "rules have to be an object"),
        ([group("a", RULES), group("a", RULES)], "rule address: by subject is for groups without"),
        ([group("a", {"b": "5/m"}, routes=["x"])], "rule b has to be an object"),
        ([group("a", {"B": RULES["address"]}, routes=["x"])], "rule B: a name is lower-case"),
        ([group("a", {"b": {"by": "address"}}, routes=["x"])], "rule b needs a rate"),
        ([group("a", {"b": {"rate": "5/m"}}, routes=["x"])], "by is one of address"),
        ([group("a", {"b": by_address("5/x")}, routes=["x"])], "is no rate"),
        ([group("a", {"b": by_address("5/m", mode="loud")}, routes=["x"])], "mode is one of"),
        ([group("a", {"b": by_address("5/m", plan="pro")}, routes=["x"])], "there is no plan"),
        ([group("a", {"b": by_user("5/m", plans={"Pro Plan": "5/m"})}, routes=["x"])], "no name of a plan"),
        ([group("a", {"b": by_user("5/m", plans=["pro"])}, routes=["x"])], "plans have to be an object"),
        (
            [group("a", {"b": by_user("5/m", anonymous=True)}, routes=["x"])],
            "who has not been verified",
        ),
        (
            [group("a", {"b": by_address("5/m", anonymous=True, failures=True)}, routes=["x"])],
            "not anonymous",
        ),
        (
            [group("a", {"b": by_address("5/m", anonymous=True, plans={"pro": "1/m"})}, routes=["x"])],
            "only who has been verified has a plan",
        ),
        ([group("a", {"b": {"by": "subject", "rate": "5/m"}}, routes=["x"])], "by subject is for groups"),
        ([group("default", RULES), group("a", RULES, routes=["x"])], "it has to be the last one"),
        (
            [group("a", RULES, routes=["x"]), group("a", RULES, routes=["y"])],
            "there are several groups a",
        ),
    ],
)
def test_rules_that_cannot_be_are_refused_with_the_place(given: Any, error: str, settings):
    with pytest.raises(InvalidRules, match=error):
        read_groups(given)
    settings.RATELIMITS_GROUPS = given
    [found] = check_rules(app_configs=None)
    assert found.id == "ratelimits.E001"


def test_settings_that_cannot_be_are_found_by_check(settings):
    assert check_rules(app_configs=None) == []
    for name, value, expected in (
        ("RATELIMITS_ALLOW", ["10.0.0.1/8"], "E002"),
        ("RATELIMITS_DENY", ["everybody"], "E002"),
        ("RATELIMITS_TIMEOUT", 0, "E003"),
        ("RATELIMITS_PROCESSES", 0, "E003"),
        ("RATELIMITS_TRUST_FOR", -1, "E003"),
        ("RATELIMITS_IPV6_PREFIX", 16, "E003"),
        ("RATELIMITS_PLAN_OF", "no.such.function", "E004"),
    ):
        before = getattr(settings, name)
        setattr(settings, name, value)
        assert [one.id for one in check_rules(app_configs=None)] == [f"ratelimits.{expected}"]
        setattr(settings, name, before)


def test_the_products_own_rules_lead_to_routes_that_exist():
    from django.urls import get_resolver

    known = set()

    def collect(patterns: Any, namespace: str = "") -> None:
        for one in patterns:
            if hasattr(one, "url_patterns"):
                inner = f"{namespace}{one.namespace}:" if one.namespace else namespace
                collect(one.url_patterns, inner)
            elif one.name:
                known.add(f"{namespace}{one.name}")

    collect(get_resolver().url_patterns)
    groups = read_groups(configured.RATELIMITS_GROUPS)
    assert groups[-1].is_default
    for one in groups:
        assert one.routes <= known, one.name


def test_a_change_leaves_what_it_does_not_say():
    groups = read_groups(
        [group("default", {"user": by_user("5/m", plans={"pro": "50/h"}), "address": by_address("9/m")})]
    )
    rules = Ruleset(
        groups,
        changes=[
            Change(group="default", rule="user", limit=7),
            Change(group="default", rule="user", plan="pro", window=60_000),
            Change(group="default", rule="user", plan="free", limit=1),
            Change(group="default", rule="user", plan="staff", unlimited=True),
            Change(group="default", rule="address", mode=Mode.SHADOW),
            Change(group="gone", rule="address", limit=0),
        ],
    )
    user, address = rules.rule("default/user"), rules.rule("default/address")
    assert [str(user.rate_of(plan)) for plan in ("", "other", "pro", "free", "staff")] == [
        "7/m", "7/m", "50/m", "1/m", "None",
    ]  # fmt: skip
    assert user.policy("staff") is None
    assert (str(address.rate), address.mode) == ("9/m", Mode.SHADOW)
    policy = address.policy()
    assert policy is not None
    assert (policy.id, policy.limit, policy.shadow) == ("default/address", 9, True)
    for name in ("gone", "default/gone", "gone/user"):
        with pytest.raises(LookupError):
            rules.rule(name)
    # Those in the settings are as they were.
    assert str(groups[0].rule("user").rate) == "5/m"


def test_a_path_is_matched_once_and_never_for_another():
    rules = Ruleset(
        read_groups([group("a", RULES, prefixes=["/api/"]), group("b", RULES, routes=["healthz"])])
    )
    make = RequestFactory()
    for _ in range(2):
        assert [
            found.name if (found := rules.match(make.get(path))) else None
            for path in ("/api/x", "/healthz", "/apix", "/api", "/" + "x" * 5000, "/healthz/")
        ] == ["a", "b", None, None, None, None]
    for number in range(5000):
        rules.match(make.get(f"/api/{number}"))
    assert len(rules._found) <= 4096
