"""The middleware in a stack of coroutines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncClient

from apps.ratelimits.engine import engine
from apps.ratelimits.middleware import RateLimitMiddleware
from tests.ratelimits.requesting import by_address, by_user, group, left, token_of
from tests.ratelimits.urls import plain, waiting

pytestmark = pytest.mark.django_db(transaction=True)


#: Of the product's own some are for threads only, and Django runs those before them in the same thread.
STACK = [
    "apps.ratelimits.middleware.RateLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


@pytest.fixture(autouse=True)
def coroutines_all_the_way(settings: Any) -> None:
    settings.MIDDLEWARE = STACK


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in a loop of its own, whose calls to the database are made in this thread."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        async_to_sync(test)(**fixtures)

    return run


def test_it_is_of_the_kind_of_what_it_stands_before():
    assert iscoroutinefunction(RateLimitMiddleware(waiting))
    assert not iscoroutinefunction(RateLimitMiddleware(plain))


@in_a_loop
async def test_requests_are_denied_and_told_as_ever(limited):
    limited(group("default", {"address": by_address("3/m")}))
    client = AsyncClient()
    answers = await asyncio.gather(*(client.get("/waiting") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 7
    assert sorted(left(one)["default/address"] for one in answers if one.status_code == 200) == [0, 1, 2]
    denied = await client.get("/plain")
    assert json.loads(denied.content)["violated-policies"] == ["default/address"]
    assert denied.headers["Cache-Control"] == "no-store"


@in_a_loop
async def test_a_user_is_known_by_the_session(limited, new_user):
    limited(group("default", {"address": by_address("9/m"), "user": by_user("2/m")}))
    client = AsyncClient()
    await client.aforce_login(await sync_to_async(new_user)())
    assert [(await client.get("/who")).status_code for _ in range(4)] == [200, 200, 429, 429]
    # None of the denied was charged to the address.
    assert left(await AsyncClient().get("/waiting")) == {"default/address": 6}


@in_a_loop
async def test_a_user_is_known_by_a_token_once_the_view_has_verified_it(limited, new_user):
    limited(group("default", {"address": by_address("9/m"), "user": by_user("2/m")}))
    user = await sync_to_async(new_user)()
    tokens = [await sync_to_async(token_of)(user) for _ in range(3)]
    answers = [
        await AsyncClient().get("/closed", headers={"Authorization": f"Token {token}"}) for token in tokens
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert left(await AsyncClient().get("/waiting")) == {"default/address": 6}


def test_it_changes_no_threads():
    """Django runs what is no coroutine in another thread, for each request."""
    handler = ASGIHandler()
    assert [one.__name__ for one in handler._view_middleware or []] == ["_aview"]


@in_a_loop
async def test_a_credential_that_is_refused_is_counted(limited):
    limited(group("default", {"failures": by_address("2/m", failures=True)}))
    answers = [
        (await AsyncClient().get("/closed", headers={"Authorization": f"Token {number:064x}"})).status_code
        for number in range(4)
    ]
    assert answers == [401, 401, 429, 429]


@in_a_loop
async def test_without_redis_the_group_decides(limited, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    limited(
        group("shut", {"address": by_address("1/m")}, prefixes=["/plain"], outage="closed"),
        group("default", {"address": by_address("1/m")}, outage="local"),
    )
    client = AsyncClient()
    assert [(await client.get("/waiting")).status_code for _ in range(2)] == [200, 429]
    assert (await client.get("/plain")).status_code == 503
    assert engine().breaker.failure is not None


@in_a_loop
async def test_addresses_are_shut_out_and_let_through(limited, settings):
    limited(group("default", {"address": by_address("1/m")}))
    settings.RATELIMITS_ALLOW = ["127.0.0.0/8"]
    client = AsyncClient()
    assert [(await client.get("/waiting")).status_code for _ in range(3)] == [200] * 3
    settings.RATELIMITS_ALLOW, settings.RATELIMITS_DENY = [], ["127.0.0.1"]
    assert (await client.get("/waiting")).status_code == 403
