"""What the middleware serves, denies and tells."""

from __future__ import annotations

import json
import secrets

import pytest
from django.test import Client

from apps.ratelimits import selectors
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter.values import Policy
from tests.ratelimits.requesting import bearing, by_address, by_user, group, left, statuses, token_of


def test_what_is_too_much_is_denied_with_a_problem_and_the_time_to_come_back(limited, client: Client):
    limited(group("default", {"address": by_address("3/m")}))
    assert statuses(client, "/plain", 3) == [200, 200, 200]
    answer = client.get("/plain")
    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    body = json.loads(answer.content)
    assert body["type"] == "/problems/too-many-requests"
    assert body["status"] == 429
    assert body["violated-policies"] == ["default/address"]
    assert answer.headers["Retry-After"] in body["detail"]


def test_every_answer_tells_what_is_left(limited, client: Client):
    limited(group("default", {"address": by_address("3/m"), "all": {"by": "everyone", "rate": "100/10s"}}))
    answer = client.get("/plain")
    assert answer.headers["RateLimit-Policy"] == '"default/address";q=3;w=60, "default/all";q=100;w=10'
    assert answer.headers["RateLimit"] == '"default/address";r=2;t=60, "default/all";r=99;t=10'
    client.raise_request_exception = False
    assert left(client.get("/broken")) == {"default/address": 1, "default/all": 98}
    assert client.get("/nothing-here").status_code == 404
    denied = client.get("/plain")
    assert denied.status_code == 429
    assert left(denied) == {"default/address": 0, "default/all": 97}
    # Nobody is told that there is room before there is.
    assert int(denied.headers["Retry-After"]) >= int(denied.headers["RateLimit"].split("t=")[1].split(",")[0])


def test_a_token_in_an_address_is_told_to_nobody(limited, client: Client, caplog):
    limited(group("default", {"address": by_address("1/m")}))
    caplog.set_level("INFO", "apps.ratelimits")
    token = secrets.token_urlsafe(32)
    for web in (client, client, Client(REMOTE_ADDR="")):
        web.get(f"/shared/{token}")
    engine().look_after()
    assert [one.path for one in selectors.denials()] == ["/shared/***"]
    told = [one.getMessage() for one in caplog.records if one.name == "apps.ratelimits"]
    assert [line.rpartition(" ")[2] for line in told] == ["/shared/***"] * 2
    assert token not in caplog.text


def test_a_denial_is_remembered_and_says_the_same_without_redis_being_asked(limited, client: Client):
    limited(group("default", {"address": by_address("1/m")}))
    client.get("/plain")
    first = client.get("/plain")
    engine().limiter.reset("address:127.0.0.1", ["default/address"])
    # What Redis would say is not asked for: the answer is that of before.
    again = client.get("/plain")
    assert (first.status_code, again.status_code) == (429, 429)
    assert left(again) == {"default/address": 0}
    assert int(again.headers["Retry-After"]) <= int(first.headers["Retry-After"])
    engine().denials.forget()
    assert client.get("/plain").status_code == 200


def test_all_policies_are_charged_or_none(limited, new_user):
    limited(group("default", {"address": by_address("5/m"), "user": by_user("2/m")}))
    bea, carl = Client(), Client()
    bea.force_login(new_user())
    carl.force_login(new_user())
    assert statuses(bea, "/who", 20) == [200, 200] + [429] * 18
    # The address has what she was denied.
    assert statuses(carl, "/who", 3) == [200, 200, 429]
    assert Client().get("/plain").status_code == 200
    assert Client().get("/plain").status_code == 429


def test_the_first_group_that_has_the_endpoint_has_it(limited, client: Client):
    limited(
        group("one", {"address": by_address("1/m")}, routes=["plain-one"]),
        group("posts", {"address": by_address("2/m")}, prefixes=["/plain"], methods=["POST"]),
        group("rest", {"address": by_address("3/m")}, prefixes=["/plain"], methods=["GET"]),
        group("default", {"address": by_address("4/m")}),
    )
    assert left(client.get("/plain/7")) == {"one/address": 0}
    assert left(client.post("/plain")) == {"posts/address": 1}
    assert left(client.get("/plain")) == {"rest/address": 2}
    # Whoever may GET may HEAD, and pays the same.
    assert left(client.head("/plain")) == {"rest/address": 1}
    assert left(client.options("/plain")) == {"default/address": 3}
    assert left(client.get("/other")) == {"default/address": 2}


def test_what_is_in_no_group_or_in_an_exempt_one_is_not_counted(limited, client: Client):
    limited(
        group("exempt", exempt=True, routes=["healthz"], prefixes=["/static/"]),
        group("plain", {"address": by_address("1/m")}, routes=["plain"]),
    )
    for path in ("/healthz", "/other"):
        assert statuses(client, path, 3) == [200] * 3
        assert "RateLimit" not in client.get(path).headers


def test_where_limits_are_off_nothing_is_counted(limited, client: Client, settings):
    limited(group("default", {"address": by_address("1/m")}))
    settings.RATELIMITS_ENABLED = False
    assert statuses(client, "/plain", 3) == [200] * 3


def test_a_shadow_counts_and_serves(limited, client: Client, caplog: pytest.LogCaptureFixture):
    limited(
        group("default", {"shadow": by_address("2/m", mode="shadow"), "address": by_address("5/m")}),
    )
    with caplog.at_level("INFO", logger="apps.ratelimits"):
        assert statuses(client, "/plain", 5) == [200] * 5
    assert client.get("/plain").status_code == 429
    told = [record.getMessage() for record in caplog.records if "would be denied" in record.getMessage()]
    # One line, however many there are.
    assert told == ["address:127.0.0.1 would be denied by default/shadow: GET /plain"]
    engine().look_after()
    counted = {(one.kind, one.labels): one.count for one in selectors.counts()}
    assert counted["denials", ("default/shadow", "shadow")] == 3
    assert counted["denials", ("default/address", "enforced")] == 1
    # Nobody is told of it.
    engine().denials.forget()
    assert set(left(client.get("/plain"))) == {"default/address"}


def test_a_rule_that_is_off_counts_nothing(limited, client: Client):
    limited(group("default", {"address": by_address("1/m", mode="off")}))
    assert statuses(client, "/plain", 3) == [200] * 3


def test_what_is_not_to_be_told_is_not(limited, client: Client):
    limited(group("default", {"address": by_address("1/m", expose=False)}))
    assert "RateLimit" not in client.get("/plain").headers
    denied = client.get("/plain")
    assert denied.status_code == 429
    assert "RateLimit" not in denied.headers
    assert json.loads(denied.content)["violated-policies"] == []
    assert "Retry-After" in denied.headers


def costly(request) -> int:
    return int(request.GET["cost"])


def test_a_request_costs_what_its_function_says(limited, client: Client, caplog: pytest.LogCaptureFixture):
    limited(group("default", {"address": by_address("10/m")}, cost="tests.ratelimits.test_middleware.costly"))
    assert left(client.get("/plain?cost=4")) == {"default/address": 6}
    assert client.get("/plain?cost=7").status_code == 429
    # Others are not kept from what is left by that.
    assert left(client.get("/plain?cost=6")) == {"default/address": 0}
    engine().limiter.reset("address:127.0.0.1", ["default/address"])
    engine().denials.forget()
    never = client.get("/plain?cost=11")
    assert never.status_code == 429
    assert "Retry-After" not in never.headers
    assert "more than is ever left" in json.loads(never.content)["detail"]
    # A function that fails is ours to mend, and costs one.
    assert left(client.get("/plain?cost=many")) == {"default/address": 9}
    assert "the cost of /plain could not be told" in caplog.text
    assert left(client.get("/plain?cost=-5")) == {"default/address": 8}


def test_each_plan_has_its_own_rate(limited, new_user, settings):
    settings.RATELIMITS_PLAN_OF = "tests.ratelimits.test_middleware.plan_of"
    limited(group("default", {"user": by_user("1/m", plans={"pro": "3/m", "staff": None})}))
    for name, expected in (("anna", [200, 429, 429, 429]), ("pro", [200] * 3 + [429]), ("staff", [200] * 4)):
        client = Client()
        client.force_login(new_user(name))
        assert statuses(client, "/who", 4) == expected


def plan_of(user) -> str:
    return user.username if user.username in ("pro", "staff") else ""


def test_a_user_and_a_key_are_counted_each(limited, new_user):
    limited(
        group("default", {"user": by_user("3/m"), "key": {"by": "key", "rate": "2/m"}}),
    )
    anna = new_user()
    first, second = bearing(token_of(anna)), bearing(token_of(anna))
    client = Client()
    assert statuses(client, "/closed", 3, **first) == [200, 200, 429]
    # Of another key of the same user one more is left: of the user there are three.
    assert statuses(client, "/closed", 2, **second) == [200, 429]
    assert Client().get("/closed").status_code == 401


def test_anonymous_rules_are_for_nobody_else(limited, new_user):
    limited(group("default", {"anonymous": by_address("2/m", anonymous=True), "user": by_user("5/m")}))
    assert statuses(Client(), "/plain", 3) == [200, 200, 429]
    anna = new_user()
    client = Client()
    client.force_login(anna)
    assert statuses(client, "/who", 6) == [200] * 5 + [429]
    # By a token, too, whose user has used up theirs.
    answer = Client().get("/open", **bearing(token_of(anna)))
    assert answer.status_code == 429
    assert json.loads(answer.content)["violated-policies"] == ["default/user"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Retry-After" in answer.headers


def test_addresses_may_be_let_through_and_shut_out(limited, settings):
    limited(
        group("default", {"address": by_address("1/m")}, exempt_addresses=["192.0.2.0/24", "2001:db8::/32"]),
    )
    settings.RATELIMITS_ALLOW = ["198.51.100.0/24"]
    settings.RATELIMITS_DENY = ["203.0.113.0/24"]
    for address in ("192.0.2.9", "2001:db8::1", "198.51.100.1", "::ffff:198.51.100.1"):
        assert statuses(Client(REMOTE_ADDR=address), "/plain", 3) == [200] * 3, address
    for address in ("203.0.113.9", "::ffff:203.0.113.9"):
        answer = Client(REMOTE_ADDR=address).get("/plain")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (403, "no-store")
        assert json.loads(answer.content)["type"] == "/problems/address-denied"
    assert statuses(Client(REMOTE_ADDR="192.0.3.9"), "/plain", 2) == [200, 429]


def test_a_policys_header_has_whole_seconds():
    assert Policy("p", 5, 1).seconds == 1
    assert Policy("p", 5, 1500).seconds == 2
