"""``manage.py ratelimits``: what is in force, what would become of a request, and forgetting charges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from apps.ratelimits import selectors, services
from apps.ratelimits.models import PolicyChange
from tests.ratelimits.operating import audited, charge
from tests.ratelimits.requesting import by_address, by_user, group, left, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

HERE = "address:203.0.113.7"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the command wrote, and how it ended."""

    out: str
    status: int
    error: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def last(self) -> str:
        return self.out.splitlines()[-1]


def ratelimits(*arguments: Any) -> Said:
    """``manage.py ratelimits`` with these arguments."""
    out, status, error = StringIO(), 0, ""
    try:
        call_command("ratelimits", *map(str, arguments), stdout=out)
    except CommandError as exc:
        status, error = exc.returncode, str(exc)
    return Said(out=out.getvalue(), status=status, error=error)


def plan_of(user) -> str:
    """Of the users of these tests: those whose name says so are in the plan pro."""
    return "pro" if user.username.startswith("pro") else ""


def cost_of(request) -> int:
    """As many units as the query says."""
    return int(request.GET["units"])


def used(who: str) -> dict[str, int]:
    return {one.policy.id: one.used for one in selectors.usage(who)}


def words(out: str, name: str) -> list[str]:
    """The words of the line of a table that is about this."""
    (line,) = [line for line in out.splitlines() if name in line.split()]
    return line.split()


@pytest.fixture
def groups(limited, settings):
    settings.RATELIMITS_PLAN_OF = "tests.ratelimits.test_command.plan_of"
    limited(
        group("exempt", prefixes=["/static/"], exempt=True),
        group("exports", {"client": {"by": "subject", "rate": "5/m"}}),
        group(
            "plain",
            {
                "address": by_address("50/m"),
                "anonymous": by_address("9/m", anonymous=True),
                "user": by_user("30/m", plans={"pro": "90/m", "vast": None}),
                "key": {"by": "key", "rate": "10/m"},
            },
            routes=["plain"],
            methods=["GET"],
            exempt_addresses=["198.51.100.0/24"],
        ),
        group(
            "costly",
            {"address": by_address("50/m")},
            prefixes=["/open"],
            cost="tests.ratelimits.test_command.cost_of",
            outage="closed",
        ),
    )


@pytest.fixture
def redis_away(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


# show ---------------------------------------------------------------------------------------------


def test_show_lists_rules_with_where_they_come_from_and_addresses(groups, settings):
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


def test_show_tells_scripts_the_same(groups):
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
    assert (network["note"], network["source"]) == ("scrapers", "changed")
    assert "usage" not in document


def test_show_tells_what_a_subject_has_used(groups, new_user):
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


def test_show_shows_rules_while_redis_is_away(groups, redis_away):
    said = ratelimits("show", "--address", "203.0.113.7")
    assert said.status == 0
    assert words(said.out, "key")[-1] == "settings"
    assert said.last == "Redis does not answer: usage is unknown"
    assert ratelimits("show", "--address", "203.0.113.7", "--json").document["usage"] is None


def test_show_says_that_limits_are_off(groups, settings):
    assert "switched off" not in ratelimits("show").out
    settings.RATELIMITS_ENABLED = False
    assert ratelimits("show").out.startswith("rate limits are switched off")
    assert ratelimits("show", "--json").document["enabled"] is False


# test ---------------------------------------------------------------------------------------------


def test_a_request_is_tried_and_charged_nothing(groups, new_user):
    user = new_user("ann")
    charge("plain/address", HERE, 12)
    arguments = ("test", "get", "/plain", "--address", "203.0.113.7", "--user", "ann")
    for _ in range(2):
        said = ratelimits(*arguments)
        assert said.status == 0
        assert "group: plain, because its route is plain" in said.out
        assert "without Redis: it would be served" in said.out
        assert words(said.out, "plain/address") == ["plain/address", "enforce", "50/m", HERE, "12", "38"]
        assert words(said.out, "plain/user") == [
            "plain/user",
            "enforce",
            "30/m",
            f"user:{user.pk}",
            "0",
            "30",
        ]
        assert said.last == "admitted"
    assert (used(HERE), used(f"user:{user.pk}")) == ({"plain/address": 12}, {})


def test_a_request_that_would_be_denied_ends_with_status_1(groups):
    charge("plain/address", HERE, 50)
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.error) == (1, "it would be denied")
    assert said.last.startswith("denied by plain/address: there is room again in ")
    document = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7", "--json").document
    assert (document["admitted"], document["rules"][0]["full"]) == (False, True)
    assert 0 < document["retry_after"] <= 61
    assert statuses(Client(REMOTE_ADDR="203.0.113.7"), "/plain", 1) == [429]


def test_what_is_said_of_a_request_is_what_becomes_of_it(groups):
    client = Client(REMOTE_ADDR="203.0.113.7")
    for _ in range(9):
        assert ratelimits("test", "GET", "/plain", "--address", "203.0.113.7").status == 0
        assert client.get("/plain").status_code == 200
    document = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7", "--json").document
    answer = client.get("/plain")
    assert (document["admitted"], answer.status_code) == (False, 429)
    assert document["verdict"].startswith("denied by plain/anonymous")
    said = {one["policy"]: one["remaining"] for one in document["rules"] if one["applies"]}
    assert said == left(answer) | {"plain/address": 41}


def test_rules_that_do_not_apply_say_why(groups, new_user):
    new_user("ann")
    services.policy_change_save(group="plain", rule="address", mode="off")

    def beside(*arguments):
        document = ratelimits("test", "GET", "/plain", *arguments, "--json").document
        return {one["policy"].partition("/")[2]: one["beside"] for one in document["rules"]}

    key = "made without an API key"
    assert beside("--address", "203.0.113.7") == {
        "address": "switched off", "anonymous": "", "user": "nobody is signed in", "key": key
    }  # fmt: skip
    services.policy_change_delete(change=PolicyChange.objects.get())
    assert beside("--user", "ann") == {
        "address": "no address was given", "anonymous": "the user is known", "user": "", "key": key
    }  # fmt: skip
    assert beside("--user", "ann", "--plan", "vast")["user"] == "no limit in the plan vast"
    assert beside("--address", "198.51.100.7")["address"] == "the address is exempt in this group"
    assert ratelimits("test", "GET", "/plain").last == "no rule applies: nothing is counted"


def test_a_user_is_measured_by_their_plan_or_another(groups, new_user):
    user = new_user("pro-ann")
    charge("plain/user", f"user:{user.pk}", 40, plan="pro")
    said = ratelimits("test", "GET", "/plain", "--user", "pro-ann", "--json")
    assert (said.status, said.document["plan"], said.document["rules"][2]["rate"]) == (0, "pro", "90/m")
    said = ratelimits("test", "GET", "/plain", "--user", "pro-ann", "--plan", "basic", "--json")
    assert (said.status, said.document["rules"][2]["rate"]) == (1, "30/m")


def test_a_request_costs_what_its_group_or_the_operator_says(groups):
    def tried(*arguments):
        return ratelimits("test", "GET", "/open?units=7", "--address", "203.0.113.7", *arguments, "--json")

    assert (tried().document["cost"], tried().status) == (7, 0)
    charge("costly/address", HERE, 44)
    assert tried().status == 1
    assert tried("--cost", "6").status == 0
    said = tried("--cost", "51")
    assert (said.document["verdict"], said.document["retry_after"]) == (
        "denied by costly/address: it costs more than is ever left", None
    )  # fmt: skip


def test_a_shadow_denies_nobody_and_is_told_of(groups):
    services.policy_change_save(group="plain", rule="address", limit=0, mode="shadow")
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (0, "admitted; plain/address would deny it")


@pytest.mark.parametrize(
    ("path", "method", "group_name", "verdict"),
    [
        ("/static/x", "GET", "exempt", "the group is exempt: nothing is counted"),
        ("/plain", "POST", None, "no group has it: nothing is counted"),
        ("/nowhere", "GET", None, "no group has it: nothing is counted"),
    ],
)
def test_requests_that_are_not_counted_are_admitted(groups, path, method, group_name, verdict):
    said = ratelimits("test", method, path, "--json")
    assert (said.status, said.document["group"], said.document["verdict"]) == (0, group_name, verdict)


def test_it_is_said_why_a_request_is_in_its_group(groups, limited):
    assert (
        "group: costly, because its path begins with /open"
        in ratelimits("test", "GET", "/open?units=1", "--address", "203.0.113.7").out
    )
    limited(group("default", {"address": by_address("50/m")}))
    assert "group: default, because no group before it has it" in ratelimits("test", "GET", "/nowhere").out


def test_addresses_that_are_shut_out_or_let_through_are_told(groups):
    services.address_rule_save(network="203.0.113.0/24", verdict="deny")
    services.address_rule_save(network="192.0.2.0/24", verdict="allow")
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (1, "nothing is served to 203.0.113.7 (403)")
    said = ratelimits("test", "GET", "/plain", "--address", "::ffff:192.0.2.7")
    assert (said.status, said.last) == (0, "192.0.2.7 is let through: nothing is counted")


def test_without_redis_it_is_said_what_the_group_has_for_that(groups, limited, redis_away):
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (0, "Redis does not answer: it would be served")
    said = ratelimits("test", "GET", "/open?units=1", "--address", "203.0.113.7", "--json")
    assert (said.status, said.document["redis"], said.document["outage"]) == (1, False, "closed")
    assert said.document["rules"][0]["used"] is None
    limited(group("default", {"address": by_address("50/m")}, outage="local"))
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (0, "Redis does not answer: each process would count by itself")


def test_limits_that_are_off_are_tried_as_if_they_were_on(groups, settings):
    settings.RATELIMITS_ENABLED = False
    charge("plain/address", HERE, 50)
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert said.out.startswith("rate limits are switched off (RATELIMITS_ENABLED); if they were on:")
    assert said.status == 1


# reset --------------------------------------------------------------------------------------------


def test_subjects_are_reset_and_free_at_once(groups, new_user):
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


def test_a_reset_may_be_of_some_policies_and_is_audited(groups, monkeypatch: pytest.MonkeyPatch):
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
def test_it_is_asked_before_anything_is_forgotten(groups, monkeypatch: pytest.MonkeyPatch, answer, status):
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


def test_nothing_is_forgotten_where_nobody_can_be_asked(groups, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    charge("plain/address", HERE, 3)
    said = ratelimits("reset", HERE)
    assert (said.status, said.error) == (2, "not a terminal to ask on: say --yes")
    assert used(HERE) == {"plain/address": 3}


def test_a_reset_fails_while_redis_is_away(groups, redis_away):
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
def test_a_command_line_that_is_wrong_is_told_so(groups, arguments, says):
    said = ratelimits(*arguments)
    assert said.status == 2
    assert said.error.startswith(says)


@pytest.mark.parametrize(
    "arguments",
    [(), ("test", "GET"), ("test", "GET", "/", "--cost", "0"), ("show", "--user", "a", "--subject", "b:c")],
)
def test_a_command_line_that_is_incomplete_is_refused(groups, arguments):
    with pytest.raises(CommandError):
        call_command("ratelimits", *arguments)
