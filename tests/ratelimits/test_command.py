"""``manage.py ratelimits``: what is in force and was used, and forgetting charges."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from apps.ratelimits import services
from apps.ratelimits.models import AddressRule, PolicyChange
from tests.ratelimits.commanding import HERE, ratelimits, used, words
from tests.ratelimits.operating import audited, charge
from tests.ratelimits.requesting import statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


# show ---------------------------------------------------------------------------------------------


def test_show_lists_rules_with_where_they_come_from_and_addresses(commanded, settings):
    settings.RATELIMITS_DENY = ["192.0.2.1"]
    services.policy_change_save(group="plain", rule="address", limit=20, mode="shadow")
    services.policy_change_save(group="plain", rule="user", plan="pro", limit=120)
    services.address_rule_save(
        network="2001:db8::/48", verdict="allow", until=timezone.now() + timedelta(days=1), note="partners"
    )
    PolicyChange.objects.create(group="gone", rule="address", limit=1)
    out = ratelimits("show").out
    assert "20/m (settings: 50/m)" in out
    assert "shadow (settings: enforce)" in out
    assert "pro 120/m (settings: 90/m)" in out
    assert words(out, "key")[-5:] == ["key", "key", "10/m", "enforce", "settings"]
    assert words(out, "user")[-1] == "changed"
    assert "gone/address was changed, and is not in the settings any more" in out
    assert words(out, "192.0.2.1") == ["192.0.2.1", "deny", "settings"]
    assert words(out, "2001:db8::/48")[-2:] == ["partners", "changed"]


def test_show_tells_scripts_the_same(commanded):
    services.policy_change_save(group="plain", rule="user", plan="pro", unlimited=True)
    services.address_rule_save(network="203.0.113.0/24", verdict="deny", note="scrapers")
    document = ratelimits("show", "--json").document
    assert [one["name"] for one in document["groups"]] == ["exempt", "exports", "plain", "costly"]
    rule = document["groups"][2]["rules"][2]
    assert (rule["policy"], rule["source"], rule["rate"]["rate"]) == ("plain/user", "changed", "30/m")
    assert rule["plans"]["pro"] == {"rate": "no limit", "in_settings": "90/m", "changed": True}
    assert document["groups"][0]["exempt"] is True
    (network,) = document["addresses"]
    assert (network["network"], network["verdict"], network["until"]) == ("203.0.113.0/24", "deny", None)
    assert (network["note"], network["source"], network["over"]) == ("scrapers", "changed", False)
    assert "usage" not in document


def test_show_marks_addresses_whose_time_is_over(commanded):
    AddressRule.objects.create(
        network="203.0.113.0/24", verdict="deny", until=timezone.now() - timedelta(seconds=1)
    )
    assert words(ratelimits("show").out, "203.0.113.0/24")[-1] == "over"
    (network,) = ratelimits("show", "--json").document["addresses"]
    assert network["over"] is True


def test_show_tells_what_a_subject_has_used(commanded, new_user):
    user = new_user("pro-ann")
    charge("plain/user", f"user:{user.pk}", 40, plan="pro")
    charge("plain/address", HERE, 12)
    for arguments in (("--user", "pro-ann"), ("--user", user.pk), ("--subject", f"user:{user.pk}")):
        assert words(ratelimits("show", *arguments).out, "plain/user") == [
            "plain/user", "40", "90", "60", "50", "enforce"
        ]  # fmt: skip
    document = ratelimits("show", "--address", "::ffff:203.0.113.7", "--json").document
    assert document["subject"] == HERE
    assert document["usage"] == [
        {"policy": "plain/address", "used": 12, "limit": 50, "window": 60, "remaining": 38, "shadow": False}
    ]
    assert ratelimits("show", "--address", "192.0.2.7").last == "address:192.0.2.7 has used nothing"


def test_show_shows_rules_while_redis_is_away(commanded, redis_away):
    said = ratelimits("show", "--address", "203.0.113.7")
    assert said.status == 0
    assert words(said.out, "key")[-1] == "settings"
    assert said.last == "Redis does not answer: usage is unknown"
    assert ratelimits("show", "--address", "203.0.113.7", "--json").document["usage"] is None


def test_show_says_that_limits_are_off(commanded, settings):
    assert "switched off" not in ratelimits("show").out
    settings.RATELIMITS_ENABLED = False
    assert ratelimits("show").out.startswith("rate limits are switched off")
    assert ratelimits("show", "--json").document["enabled"] is False


# reset --------------------------------------------------------------------------------------------


def test_subjects_are_reset_and_free_at_once(commanded, new_user):
    client = Client(REMOTE_ADDR="203.0.113.7")
    assert statuses(client, "/plain", 10)[-2:] == [200, 429]
    ann = new_user("ann")
    charge("plain/user", f"user:{ann.pk}", 3)
    charge("exports/client", "client:7", 4)
    said = ratelimits("reset", "client:7", "--address", "203.0.113.7", "--user", "ann", "--yes")
    assert said.status == 0
    assert words(said.out, "exports/client")[:2] == ["exports/client", "4"]
    assert [line for line in said.out.splitlines() if "forgotten" in line] == [
        "client:7: forgotten under 1 policy",
        f"{HERE}: forgotten under 2 policies",
        f"user:{ann.pk} (ann): forgotten under 1 policy",
    ]
    assert client.get("/plain").status_code == 200
    assert used("client:7") == used(f"user:{ann.pk}") == {}


def test_a_reset_may_be_of_some_policies_and_is_audited(commanded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    for rule in ("plain/address", "plain/anonymous", "costly/address"):
        charge(rule, HERE, 3)
    said = ratelimits("reset", HERE, "--policy", "plain/address", "--policy", "plain/anonymous", "--yes")
    assert said.last == f"{HERE}: forgotten under 2 policies"
    assert "costly/address" not in said.out
    assert used(HERE) == {"costly/address": 3}
    (told,) = audited("ratelimit.reset")
    assert (told["actor"], told["object_id"]) == ("cli:ann", HERE)
    assert told["before"] == {"plain/address": 3, "plain/anonymous": 3}


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("yes", 0), ("n", 1), ("", 1)])
def test_it_is_asked_before_anything_is_forgotten(commanded, monkeypatch: pytest.MonkeyPatch, answer, status):
    questions = []

    def say(question: str) -> str:
        questions.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", say)
    charge("plain/address", HERE, 3)
    assert ratelimits("reset", HERE).status == status
    assert questions == [f"forget what {HERE} used? [y/N] "]
    assert used(HERE) == ({} if status == 0 else {"plain/address": 3})


def test_nothing_is_forgotten_where_nobody_can_be_asked(commanded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    charge("plain/address", HERE, 3)
    said = ratelimits("reset", HERE)
    assert (said.status, said.error) == (2, "not a terminal to ask on: say --yes")
    assert used(HERE) == {"plain/address": 3}


def test_a_reset_fails_while_redis_is_away(commanded, redis_away):
    said = ratelimits("reset", HERE, "--yes")
    assert said.status == 1
    assert said.error.startswith("Redis does not answer")
    assert audited("ratelimit.reset") == []


# The command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "--subject", "nonsense"), "--subject: 'nonsense' is no subject"),
        (("show", "--subject", "User:7"), "--subject: 'User' is no kind of subject"),
        (("show", "--address", "1.2.3"), "--address: '1.2.3' is no IP address"),
        (("show", "--user", "nobody"), "--user: there is no user 'nobody'"),
        (("test", "GET", "plain"), "PATH: 'plain' does not begin with /"),
        (("test", "GET", "/plain", "--plan", "pro"), "--plan: a plan is a user's"),
        (("test", "GET", "/plain", "--user", "4711"), "--user: there is no user '4711'"),
        (("reset", "--yes"), "say who"),
        (("reset", "user:", "--yes"), "SUBJECT: a subject of kind user needs a name"),
        (
            ("reset", HERE, "--policy", "plain/x", "--yes"),
            "--policy: there is no 'plain/x'; there are exports/",
        ),
    ],
)
def test_a_command_line_that_is_wrong_is_told_so(commanded, arguments, says):
    said = ratelimits(*arguments)
    assert said.status == 2
    assert said.error.startswith(says)


@pytest.mark.parametrize(
    "arguments",
    [(), ("test", "GET"), ("test", "GET", "/", "--cost", "0"), ("show", "--user", "a", "--subject", "b:c")],
)
def test_a_command_line_that_is_incomplete_is_refused(commanded, arguments):
    with pytest.raises(CommandError):
        call_command("ratelimits", *arguments)
