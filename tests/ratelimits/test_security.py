"""Known faults of other limiters, none of which this one has."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import subject
from tests.ratelimits.requesting import bearing, by_address, by_user, group, left, statuses, token_of

#: What clients may say of who they are.
CLAIMS = (
    "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_CF_CONNECTING_IP",
    "HTTP_TRUE_CLIENT_IP", "HTTP_X_CLIENT_IP", "HTTP_X_CLUSTER_CLIENT_IP", "HTTP_FASTLY_CLIENT_IP",
)  # fmt: skip


@pytest.mark.parametrize("header", CLAIMS)
def test_a_header_that_changes_each_time_makes_no_new_client(limited, header):
    limited(group("default", {"address": by_address("3/m")}))
    client = Client()
    answers = [
        client.get(
            "/plain",
            **{header: f"for=198.51.100.{number}" if header[4:] == "_FORWARDED" else f"198.51.100.{number}"},
        ).status_code
        for number in range(20)
    ]
    assert answers == [200] * 3 + [429] * 17


@pytest.mark.parametrize(
    ("setting", "header", "entry"),
    [
        ("x-forwarded-for", "HTTP_X_FORWARDED_FOR", "{}"),
        ("forwarded", "HTTP_FORWARDED", "for={}"),
    ],
)
def test_behind_a_trusted_proxy_what_the_client_put_before_counts_nothing(
    limited, settings, setting, header, entry
):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.FORWARDED_HEADER = setting
    limited(group("default", {"address": by_address("3/m")}))
    client = Client(REMOTE_ADDR="10.0.0.7")
    mine = entry.format("203.0.113.9")
    answers = [
        client.get("/plain", **{header: f"{entry.format(f'198.51.100.{number}')}, {mine}"}).status_code
        for number in range(20)
    ]
    assert answers == [200] * 3 + [429] * 17
    # Others behind the same proxy have their own.
    assert client.get("/plain", **{header: entry.format("203.0.113.10")}).status_code == 200
    # The header that is not believed is not believed from the proxy either.
    other = "HTTP_FORWARDED" if setting == "x-forwarded-for" else "HTTP_X_FORWARDED_FOR"
    assert client.get("/plain", **{header: mine, other: "for=203.0.113.77"}).status_code == 429


def test_nobody_reaches_a_users_bucket_by_an_address(limited, new_user, settings):
    """DRF counts a user by the primary key, and who is anonymous by whatever a header says, in one place."""
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    limited(group("default", {"address": by_address("100/m"), "user": by_user("3/m")}))
    victim = new_user()
    for claim in (str(victim.pk), f"user:{victim.pk}", f"user:{victim.pk}, {victim.pk}"):
        for _ in range(5):
            Client().get("/plain", HTTP_X_FORWARDED_FOR=claim)
    client = Client()
    client.force_login(victim)
    assert left(client.get("/who"))["default/user"] == 2
    assert subject("address", str(victim.pk)) != subject("user", str(victim.pk))


def test_however_the_path_is_written_it_is_the_same_endpoint(limited):
    limited(
        group("ones", {"address": by_address("5/m")}, prefixes=["/plain"]),
        group("named", {"address": by_address("3/m")}, routes=["either"]),
        group("default", {"address": by_address("4/m")}),
    )
    client = Client()
    paths = [f"/plain/{number}" for number in range(20)]
    assert [client.get(path).status_code for path in paths] == [200] * 5 + [429] * 15
    named = ["/either", "/either/", "/either?x=1", "/%65ither", "/either", "/either/?y"]
    assert [client.get(path).status_code for path in named] == [200] * 3 + [429] * 3
    # What leads nowhere is counted, too.
    nowhere = ["/Either", "/EITHER", "/either//", "/x/../either", "/either/./", "/nothing"]
    assert [client.get(path).status_code for path in nowhere] == [404] * 4 + [429] * 2


def test_a_method_that_a_header_claims_is_not_the_requests(limited):
    limited(group("reads", {"address": by_address("2/m")}, methods=["GET"], prefixes=["/plain"]))
    client = Client()
    answers = [
        client.get("/plain", HTTP_X_HTTP_METHOD_OVERRIDE="DELETE", HTTP_X_METHOD_OVERRIDE="PUT").status_code
        for _ in range(4)
    ]
    assert answers == [200, 200, 429, 429]


def test_ipv4_clients_in_ipv6_notation_are_not_one_and_not_two(limited):
    limited(group("default", {"address": by_address("2/m")}))
    spellings = ["::ffff:203.0.113.9", "::ffff:cb00:7109", "0:0:0:0:0:ffff:cb00:7109", "203.0.113.9"]
    answers = [Client(REMOTE_ADDR=one).get("/plain").status_code for one in spellings]
    assert answers == [200, 200, 429, 429]
    # Another client is another.
    assert Client(REMOTE_ADDR="::ffff:198.51.100.77").get("/plain").status_code == 200
    # Nor has anybody a second bucket by a gateway's notation of the same.
    for one in ("64:ff9b::203.0.113.9", "2002:cb00:7109::1"):
        assert Client(REMOTE_ADDR=one).get("/plain").status_code == 429


def test_who_has_a_network_of_ipv6_is_one_client(limited):
    limited(group("default", {"address": by_address("3/m")}))
    answers = [
        Client(REMOTE_ADDR=f"2001:db8:1:2:{number:x}::{number:x}").get("/plain").status_code
        for number in range(1, 21)
    ]
    assert answers == [200] * 3 + [429] * 17
    assert Client(REMOTE_ADDR="2001:db8:1:3::1").get("/plain").status_code == 200


def test_no_two_groups_or_rules_share_a_key(limited):
    """Joined without separators, group api with 15/m and group api1 with 5/m were one."""
    limited(
        group("api", {"b": by_address("15/m")}, routes=["plain"]),
        group("api1", {"b": by_address("5/m")}, routes=["other"]),
        group("a", {"pi1": by_address("5/m")}, routes=["either"]),
    )
    client = Client()
    assert statuses(client, "/plain", 16)[-2:] == [200, 429]
    assert left(client.get("/other")) == {"api1/b": 4}
    assert left(client.get("/either")) == {"a/pi1": 4}


def test_who_is_denied_by_one_limit_burns_no_other(limited, new_user):
    limited(group("default", {"address": by_address("60/m"), "user": by_user("10/m")}))
    greedy, neighbour = Client(), Client()
    greedy.force_login(new_user())
    neighbour.force_login(new_user())
    assert statuses(greedy, "/who", 100).count(200) == 10
    assert statuses(neighbour, "/who", 10) == [200] * 10


def test_who_is_denied_after_having_been_verified_burns_no_other_either(limited, new_user):
    """In a process that does not know the credential yet, the address is asked first."""
    limited(group("default", {"address": by_address("5/m"), "user": by_user("1/m")}))
    anna = new_user()
    assert Client().get("/closed", **bearing(token_of(anna))).status_code == 200
    engine().denials.forget()
    answer = Client().get("/closed", **bearing(token_of(anna)))
    assert json.loads(answer.content)["violated-policies"] == ["default/user"]
    # One of five went to what was served.
    assert left(Client().get("/plain")) == {"default/address": 3}


def test_who_changes_credentials_to_be_asked_anew_pays_for_that(limited, new_user):
    limited(group("default", {"address": by_address("8/m"), "user": by_user("1/m")}))
    client = Client()
    client.force_login(new_user())
    answers = [client.get("/who", HTTP_AUTHORIZATION=f"Bearer {number}").status_code for number in range(12)]
    assert answers == [200] + [429] * 11
    assert engine().limiter.stats([(engine().rules().rule("default/address").policy(), "address:127.0.0.1")])[
        0
    ].used == 8  # fmt: skip


def test_a_credential_that_nobody_verified_is_no_identity(limited, new_user):
    limited(group("default", {"address": by_address("10/m"), "user": by_user("3/m")}))
    client = Client()
    for number in range(10):
        answer = client.get("/closed", HTTP_AUTHORIZATION=f"Token {number:064x}")
        assert answer.status_code == 401
    # Each new one is counted to the same address.
    assert client.get("/closed", HTTP_AUTHORIZATION="Token " + "f" * 64).status_code == 429
    forged = Client(REMOTE_ADDR="192.0.2.1")
    forged.cookies["sessionid"] = "f" * 32
    assert set(left(forged.get("/who"))) == {"default/address"}


def test_one_users_credential_is_one_however_it_is_written(limited, new_user):
    limited(group("default", {"user": by_user("3/m")}))
    token = token_of(new_user())
    written = [f"Token {token}", f"token {token}", f"Token  {token}", f" TOKEN {token}", f"Token\t{token}"]
    answers = [Client().get("/closed", HTTP_AUTHORIZATION=one).status_code for one in written]
    assert answers.count(200) == 3
    assert 429 in answers


def test_an_address_that_is_not_known_is_no_bucket(limited, caplog: pytest.LogCaptureFixture):
    """Everybody whose name is empty would be in it."""
    limited(group("default", {"address": by_address("2/m"), "all": {"by": "everyone", "rate": "5/m"}}))
    client = Client(REMOTE_ADDR="")
    with caplog.at_level("WARNING", logger="apps.ratelimits"):
        assert statuses(client, "/plain", 6) == [200] * 5 + [429]
    assert left(client.get("/plain")).keys() == {"default/all"}
    assert "has no address" in caplog.text
    with pytest.raises(ValueError, match="needs a name"):
        subject("address", "")


def test_a_user_without_a_key_is_nobody(limited):
    from apps.ratelimits.identity import ANONYMOUS, identity_of

    unsaved = get_user_model()(username="unsaved")
    assert identity_of(unsaved, None, None) == ANONYMOUS
    assert identity_of(None, None, None) == ANONYMOUS
