"""Whose a request is, for how long that is believed, and when it is asked."""

from __future__ import annotations

import gc
import threading

import pytest
from django.test import Client, RequestFactory

from apps.ratelimits.engine import engine
from apps.ratelimits.identity import ANONYMOUS, Identity, Verified, credential_of
from apps.ratelimits.keeper import Keeper
from tests.ratelimits.requesting import bearing, by_address, by_user, group, token_of
from tests.support import wait_until

ANNA = Identity(user="user:7", key="key:k", plan="pro")


@pytest.fixture
def asked(limited, monkeypatch: pytest.MonkeyPatch):
    """What Redis is asked, a list of policies for each round trip."""
    limited(group("default", {"address": by_address("99/m"), "user": by_user("99/m")}))
    limits = engine()
    told: list[list[str]] = []
    inherited = limits.limiter.hit

    def hit(charges, cost=1):
        told.append([charge.policy.id.partition("/")[2] for charge in charges])
        return inherited(charges, cost)

    monkeypatch.setattr(limits.limiter, "hit", hit)
    return told


def test_who_is_known_is_asked_for_everything_in_one_round_trip(asked, new_user):
    client = Client()
    client.force_login(new_user())
    for _ in range(3):
        assert client.get("/who").status_code == 200
    assert asked == [["address"], ["user"], ["address", "user"], ["address", "user"]]
    del asked[:]
    token = bearing(token_of(new_user()))
    for _ in range(2):
        assert Client().get("/closed", **token).status_code == 200
    assert asked == [["address"], ["user"], ["address", "user"]]


def test_who_brings_nothing_is_asked_once(asked):
    Client().get("/plain")
    assert asked == [["address"]]


def test_a_credential_that_is_over_is_its_users_no_more(asked, new_user):
    client = Client()
    client.force_login(new_user())
    client.get("/who")
    cookie = client.cookies["sessionid"].value
    client.logout()
    late = Client()
    late.cookies["sessionid"] = cookie
    del asked[:]
    # It is counted as the user's until something has looked.
    for _ in range(3):
        assert late.get("/who").json() == {"user": None}
    assert asked == [["address", "user"], ["address"], ["address"]]


def test_credentials_are_trusted_for_as_long_as_the_settings_say(limited, new_user, settings):
    settings.RATELIMITS_TRUST_FOR = 0
    limited(group("default", {"user": by_user("99/m")}))
    client = Client()
    client.force_login(new_user())
    for _ in range(2):
        client.get("/who")
        assert engine().verified.find(credential_of(client.get("/who").wsgi_request)) is None


def test_what_is_trusted_ends_and_its_number_has_an_end():
    now = [0.0]
    verified = Verified(trust_for=60, most=3, clock=lambda: now[0])
    verified.learn("a", ANNA)
    now[0] = 59.9
    assert verified.find("a") == ANNA
    now[0] = 60.0
    assert verified.find("a") is None
    for name in "bcde":
        verified.learn(name, ANNA)
    assert [name for name in "abcde" if verified.find(name)] == ["c", "d", "e"]
    verified.learn("c", ANONYMOUS)
    assert verified.find("c") == ANNA
    verified.forget("c")
    verified.forget("c")
    assert verified.find("c") is None


def test_credentials_are_told_apart_and_spellings_are_not():
    make = RequestFactory()

    def credential(header: str = "", session: str = "") -> str:
        request = make.get("/", **({"HTTP_AUTHORIZATION": header} if header else {}))
        if session:
            request.META["HTTP_COOKIE"] = f"sessionid={session}; theme=dark"
        return credential_of(request)

    assert credential() == ""
    assert credential("Token a") == credential("token  a ")
    # "anna:pw", with and without what decoders overlook.
    assert credential("Basic YW5uYTpwdw==") == credential("basic YW5u YTpwdw==")
    each = [
        credential("Token a"), credential("Token b"), credential("Bearer a"), credential(session="a"),
        credential("Token a", "a"), credential("Basic YW5uYTpwdw=="), credential("Basic !"),
        credential("Token", "1:a"), credential("Token \udcff"),
    ]  # fmt: skip
    assert len(set(each)) == len(each)


class Kept:
    """Is looked after a hundred times a second."""

    def __init__(self, failing: int = 0) -> None:
        self.looks, self._failing = 0, failing
        self.keeper = Keeper(self.look, every=0.01)

    def look(self) -> None:
        self.looks += 1
        if self.looks <= self._failing:
            raise RuntimeError("it goes on after that")


def test_a_keeper_goes_on_whatever_happens():
    one = Kept(failing=2)
    one.keeper.wake()
    wait_until(lambda: one.looks > 3, what="the keeper to look")
    one.keeper.stop()


def test_a_keeper_is_one_thread_and_ends_with_what_it_keeps():
    def kept() -> list[threading.Thread]:
        one, before = Kept(), threading.enumerate()
        for _ in range(3):
            one.keeper.wake()
        wait_until(lambda: one.looks > 3, what="the keeper to look")
        return [thread for thread in threading.enumerate() if thread not in before]

    [thread] = kept()
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()
