"""``manage.py ratelimits test``: what would become of a request, and why."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.ratelimits import services
from apps.ratelimits.models import PolicyChange
from tests.ratelimits.commanding import HERE, ratelimits, used, words
from tests.ratelimits.operating import charge
from tests.ratelimits.requesting import by_address, group, left, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def test_a_request_is_tried_and_charged_nothing(commanded, new_user):
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


def test_a_request_that_would_be_denied_ends_with_status_1(commanded):
    charge("plain/address", HERE, 50)
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.error) == (1, "it would be denied")
    assert said.last.startswith("denied by plain/address: there is room again in ")
    document = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7", "--json").document
    assert (document["admitted"], document["rules"][0]["full"]) == (False, True)
    assert 0 < document["retry_after"] <= 61
    assert statuses(Client(REMOTE_ADDR="203.0.113.7"), "/plain", 1) == [429]


def test_what_is_said_of_a_request_is_what_becomes_of_it(commanded):
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


def test_rules_that_do_not_apply_say_why(commanded, new_user):
    new_user("ann")
    services.policy_change_save(group="plain", rule="address", mode="off")

    def why_not(*arguments):
        document = ratelimits("test", "GET", "/plain", *arguments, "--json").document
        return {one["policy"].partition("/")[2]: one["why_not"] for one in document["rules"]}

    key = "made without an API key"
    assert why_not("--address", "203.0.113.7") == {
        "address": "switched off", "anonymous": "", "user": "nobody is signed in", "key": key
    }  # fmt: skip
    services.policy_change_delete(change=PolicyChange.objects.get())
    assert why_not("--user", "ann") == {
        "address": "no address was given", "anonymous": "the user is known", "user": "", "key": key
    }  # fmt: skip
    assert why_not("--user", "ann", "--plan", "vast")["user"] == "no limit in the plan vast"
    assert why_not("--address", "198.51.100.7")["address"] == "the address is exempt in this group"
    assert ratelimits("test", "GET", "/plain").last == "no rule applies: nothing is counted"


def test_a_user_is_measured_by_their_plan_or_another(commanded, new_user):
    user = new_user("pro-ann")
    charge("plain/user", f"user:{user.pk}", 40, plan="pro")
    said = ratelimits("test", "GET", "/plain", "--user", "pro-ann", "--json")
    assert (said.status, said.document["plan"], said.document["rules"][2]["rate"]) == (0, "pro", "90/m")
    said = ratelimits("test", "GET", "/plain", "--user", "pro-ann", "--plan", "basic", "--json")
    assert (said.status, said.document["rules"][2]["rate"]) == (1, "30/m")


def test_a_request_costs_what_its_group_or_the_operator_says(commanded):
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


def test_a_shadow_denies_nobody_and_is_told_of(commanded):
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
def test_requests_that_are_not_counted_are_admitted(commanded, path, method, group_name, verdict):
    said = ratelimits("test", method, path, "--json")
    assert (said.status, said.document["group"], said.document["verdict"]) == (0, group_name, verdict)


def test_it_is_said_why_a_request_is_in_its_group(commanded, limited):
    assert (
        "group: costly, because its path begins with /open"
        in ratelimits("test", "GET", "/open?units=1", "--address", "203.0.113.7").out
    )
    limited(group("default", {"address": by_address("50/m")}))
    assert "group: default, because no group before it has it" in ratelimits("test", "GET", "/nowhere").out


def test_addresses_that_are_shut_out_or_let_through_are_told(commanded):
    services.address_rule_save(network="203.0.113.0/24", verdict="deny")
    services.address_rule_save(network="192.0.2.0/24", verdict="allow")
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (1, "nothing is served to 203.0.113.7 (403)")
    said = ratelimits("test", "GET", "/plain", "--address", "::ffff:192.0.2.7")
    assert (said.status, said.last) == (0, "192.0.2.7 is let through: nothing is counted")


def test_without_redis_it_is_said_what_the_group_has_for_that(commanded, limited, redis_away):
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (0, "Redis does not answer: it would be served")
    said = ratelimits("test", "GET", "/open?units=1", "--address", "203.0.113.7", "--json")
    assert (said.status, said.document["redis"], said.document["outage"]) == (1, False, "closed")
    assert said.document["rules"][0]["used"] is None
    limited(group("default", {"address": by_address("50/m")}, outage="local"))
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert (said.status, said.last) == (0, "Redis does not answer: each process would count by itself")


def test_limits_that_are_off_are_tried_as_if_they_were_on(commanded, settings):
    settings.RATELIMITS_ENABLED = False
    charge("plain/address", HERE, 50)
    said = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7")
    assert said.out.startswith("rate limits are switched off (RATELIMITS_ENABLED); if they were on:")
    assert said.status == 1


def test_a_rule_for_refused_credentials_says_whom_it_is_for(limited):
    limited(group("default", {"failures": by_address("3/m", failures=True)}))
    [part] = ratelimits("test", "GET", "/plain", "--address", "203.0.113.7", "--json").document["rules"]
    assert part["why_not"] == "only for credentials that nothing has verified"
