"""Every address of the API, asked by nobody, by a stranger and by a user without rights."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.identity.owned import everything_of

#: Anybody may ask; there is nothing of anybody's.
PUBLIC = "public"
#: What the caller has, or is: 401 for nobody; in the answer to a stranger, nothing of others.
OWN = "own"
#: One object: 401 for nobody, 404 for a stranger.
ONE = "one"
#: A new object of the caller's: what is another user's cannot be made a part of it.
MAKE = "make"
#: For staff: 401 for nobody, 403 for users.
STAFF = "staff"

#: Route -> what it is by each of its methods. A route that is not here fails the test.
ROUTES: dict[str, dict[str, str]] = {
    "root": {"get": PUBLIC},
    "login": {"post": PUBLIC},
    "logout": {"post": OWN},
    "logout-all": {"post": OWN},
    "me": {"get": OWN},
    "password": {"post": MAKE},
    "key-list": {"get": OWN, "post": MAKE},
    "key-detail": {"get": ONE, "patch": ONE, "delete": ONE},
    "key-rotate": {"post": ONE},
    "audit-list": {"get": STAFF},
    "audit-mine": {"get": OWN},
    "audit-detail": {"get": STAFF},
    "task-list": {"get": OWN},
    "task-stats": {"get": STAFF},
    "task-bulk": {"post": STAFF},
    "task-bulk-detail": {"get": STAFF},
    "task-detail": {"get": ONE},
    "task-redrive": {"post": STAFF},
    "task-retry": {"post": STAFF},
    "task-cancel": {"post": STAFF},
    "task-reschedule": {"post": STAFF},
    "periodic-list": {"get": STAFF},
    "batch-detail": {"get": STAFF},
    "batch-cancel": {"post": STAFF},
    "worker-list": {"get": OWN},
    "worker-heartbeat": {"post": MAKE},
    "worker-stop": {"post": MAKE},
    "worker-detail": {"get": ONE},
    "worker-declare-dead": {"post": STAFF},
    "notification-email-list": {"get": OWN},
    "notification-preference-list": {"get": OWN, "patch": OWN},
    "notification-bounce-list": {"post": STAFF},
    "notification-suppression-list": {"get": STAFF},
    "notification-suppression-detail": {"delete": STAFF},
    "instrument-list": {"get": PUBLIC},
    "instrument-detail": {"get": PUBLIC},
    "candle-latest": {"get": PUBLIC},
    "candle-list": {"get": PUBLIC, "post": STAFF},
    "backfill-list": {"post": STAFF},
    "backfill-detail": {"get": STAFF},
    "account-list": {"get": OWN, "post": MAKE},
    "account-detail": {"get": ONE, "patch": ONE},
    "account-keys": {"put": ONE, "delete": ONE},
    "order-list": {"get": OWN, "post": MAKE},
    "order-detail": {"get": ONE},
    "order-timeline": {"get": ONE},
    "order-cancel": {"post": ONE},
    "order-look": {"post": STAFF},
    "order-resolve": {"post": STAFF},
    "position-list": {"get": OWN},
    "fill-list": {"get": OWN},
    "endpoint-list": {"get": OWN, "post": MAKE},
    "endpoint-detail": {"get": ONE, "patch": ONE, "delete": ONE},
    "endpoint-rotate": {"post": ONE},
    "endpoint-try": {"post": ONE},
    "endpoint-deliveries": {"get": ONE},
    "delivery-detail": {"get": ONE},
    "backtest-list": {"get": OWN, "post": MAKE},
    "backtest-compare": {"get": OWN},
    "backtest-detail": {"get": ONE, "delete": ONE},
    "backtest-cancel": {"post": ONE},
    "backtest-trades": {"get": ONE},
    "backtest-equity": {"get": ONE},
    "backtest-share": {"post": ONE, "delete": ONE},
    "shared-backtest": {"get": PUBLIC},
    "shared-backtest-trades": {"get": PUBLIC},
    "shared-backtest-equity": {"get": PUBLIC},
    "strategy-list": {"get": PUBLIC},
    "strategy-schema": {"get": PUBLIC},
    "strategy-check": {"post": OWN},
    "sweep-list": {"get": OWN, "post": MAKE},
    "sweep-detail": {"get": ONE, "delete": ONE},
    "sweep-cancel": {"post": ONE},
    "sweep-combinations": {"get": ONE},
    "sweep-heatmap": {"get": ONE},
}
#: What a stranger sends, by route: the ids of another user's.
BODIES: dict[str, dict[str, Any]] = {
    "order-list": {
        "account": "account_id", "instrument": "instrument", "side": "buy", "quantity": "1", "kind": "market",
    },
    "endpoint-list": {"account": "account_id", "name": "mine"},
    "endpoint-rotate": {"what": "token"},
    "endpoint-try": {"body": "{}"},
    "account-keys": {"api_key": "abcdefgh", "api_secret": "12345678"},
}  # fmt: skip
QUERIES = {
    "backtest-compare": "?ids={backtest_id}",
    "sweep-heatmap": "?x=fast",
    "worker-list": "?user={user}",
}


def of_the_api(patterns: Any, prefix: str = "/") -> list[tuple[str, str, type]]:
    """Name, address and view of each route under ``/api/v1/``."""
    found = []
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += of_the_api(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern) and address.startswith("/api/v1/"):
            found.append((str(pattern.name), address, pattern.callback.cls))
    return found


def methods(view: type) -> set[str]:
    return {name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)}


def test_every_route_is_classified():
    found = {name: methods(view) for name, _, view in of_the_api(get_resolver().url_patterns)}
    assert {name: set(kinds) for name, kinds in ROUTES.items()} == found


@pytest.mark.django_db
def test_nobody_gets_at_what_is_another_users(new_user):
    alice, bob = new_user("alice"), new_user("bob")
    known = {**everything_of(alice), "user": alice.pk}
    secret = {name: str(value) for name, value in known.items() if isinstance(value, UUID)}
    owner = Client(raise_request_exception=False)
    owner.force_login(alice)
    wrong, shown = [], set()
    for name, pattern, _ in of_the_api(get_resolver().url_patterns):
        address = _address(name, pattern, known)
        given = {field: str(known.get(value, value)) for field, value in BODIES.get(name, {}).items()}
        for method, kind in ROUTES[name].items():
            stranger = Client()
            # Some of these end the session.
            stranger.force_login(bob)
            body = "" if method == "get" else json.dumps(given)
            nobodys, strangers = (
                web.generic(method.upper(), address, body, "application/json") for web in (Client(), stranger)
            )
            # A refusal repeats the id that it was asked for.
            told = _told(strangers, secret) if strangers.status_code < 400 else set()
            if not _fits(kind, name, nobodys.status_code, strangers.status_code) or told:
                wrong.append((method, name, kind, nobodys.status_code, strangers.status_code, told))
            if method == "get" and kind in (OWN, ONE):
                own = owner.get(address)
                shown |= _told(own, secret)
                if own.status_code == 404:
                    wrong.append((name, own.content))
    assert wrong == []
    # All of it is shown to whom it belongs, but what is for operators.
    assert secret.keys() - shown == {"bulk_id", "backfill_id", "suppression_id"}


def _address(name: str, pattern: str, known: dict[str, Any]) -> str:
    address = re.sub(r"<\w+:(\w+)>", lambda part: str(known[part[1]]), pattern)
    return address + QUERIES.get(name, "").format(**known)


def _told(answer: Any, secret: dict[str, str]) -> set[str]:
    text = answer.content.decode()
    return {name for name, value in secret.items() if value in text}


def _fits(kind: str, name: str, nobody: int, stranger: int) -> bool:
    """Whether these are the statuses of what a route is said to be."""
    match kind:
        case "public":
            return nobody not in (403, 500) and stranger not in (403, 500)
        case "own":
            return nobody == 401 and stranger in (200, 204, 400, 404)
        case "one":
            return nobody == 401 and stranger == 404
        case "make":
            made = () if name in BODIES else (201,)
            return nobody == 401 and stranger in (400, 403, 404, *made)
    return nobody == 401 and stranger == 403
