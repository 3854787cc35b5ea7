"""Requests bind who makes them and from where, and cost nothing for it where nobody asks."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.core import context
from apps.core.clients import client_address
from apps.core.context import Context
from apps.core.middleware import ActorMiddleware, RequestContextMiddleware


def bound(request: HttpRequest) -> Context:
    """The context in which *request* is answered."""
    found: list[Context] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(context.current())
        return HttpResponse()

    RequestContextMiddleware(ActorMiddleware(view))(request)
    return found[0]


def test_a_request_binds_its_id_its_address_and_its_client():
    request = RequestFactory().post(
        "/", REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "x" * 300, "X-Request-ID": "given-id-1"}
    )
    assert bound(request) == Context(
        request_id="given-id-1", correlation_id="given-id-1", address="192.0.2.7", user_agent="x" * 256
    )
    assert context.current() == Context()


def test_the_address_is_in_its_usual_form():
    for given, expected in {
        "192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:DB8:0::1": "2001:db8::1",
        "fe80::1%eth0": "fe80::1", "": "", "unix:": "", "localhost": "", "1.2.3.4/24": "", "1.2.3": "",
    }.items():  # fmt: skip
        assert client_address(RequestFactory().get("/", REMOTE_ADDR=given)) == expected
    assert client_address(HttpRequest()) == ""


def test_behind_a_trusted_proxy_the_address_that_it_tells_is_bound(settings):
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "192.0.2.7"})
    assert bound(request).address == "10.0.0.1"
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert bound(request).address == "192.0.2.7"


class Asked:
    """Stands for the user of a request, and notes whether it was asked for."""

    def __init__(self, user: User | AnonymousUser) -> None:
        self.user, self.times = user, 0

    def __getattr__(self, name: str) -> object:
        self.times += 1
        return getattr(self.user, name)


def test_the_user_is_asked_for_only_with_a_session_and_only_where_somebody_wants_to_know():
    request = RequestFactory().get("/")
    request.user = anonymous = Asked(AnonymousUser())
    assert bound(request).actor == ""
    assert anonymous.times == 0

    request = RequestFactory().get("/")
    request.COOKIES["sessionid"] = "x"
    request.user = signed_in = Asked(User(pk=7))
    assert bound(request).actor == "user:7"
    unasked = RequestFactory().get("/")
    unasked.COOKIES["sessionid"] = "x"
    unasked.user = nobody_asks = Asked(User(pk=7))
    ActorMiddleware(lambda request: HttpResponse())(unasked)
    assert (signed_in.times > 0, nobody_asks.times) == (True, 0)


def test_an_actor_that_is_named_goes_before_the_one_that_can_be_asked_for():
    with context.actor_from(lambda: "user:7"):
        assert context.current().actor == "user:7"
        with context.bind(actor="task:x"):
            assert context.current().actor == "task:x"
        with context.bind(request_id="r"):
            assert context.current() == Context(actor="user:7", request_id="r")
    assert context.current().actor == ""


@pytest.mark.django_db
def test_a_page_without_a_session_reads_neither_session_nor_user(client):
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/healthz", headers={"X-Request-ID": "abcdefgh"})["X-Request-ID"] == "abcdefgh"
    assert len(queries) == 0
    client.cookies["sessionid"] = "stale"
    with CaptureQueriesContext(connection) as queries:
        client.get("/healthz")
    assert len(queries) == 0
