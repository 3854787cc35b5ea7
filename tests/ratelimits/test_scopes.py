"""Limits that code asks for itself, and those of a view of DRF."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from apps.ratelimits.engine import engine
from apps.ratelimits.scopes import scope
from tests.platform import wait_for_all
from tests.ratelimits.requesting import bearing, by_address, group, token_of
from tests.workload import tasks as work
from tests.workload.models import Effect

EXPORTS = {"subject": {"by": "subject", "rate": "2/m"}, "hourly": {"by": "subject", "rate": "5/h"}}


@pytest.fixture
def exports(limited):
    limited(group("exports", EXPORTS), group("default", {"address": by_address("100/m")}))
    return scope("exports")


def test_code_asks_for_a_subject_of_its_own(exports):
    first = exports.hit("export", "7")
    assert first
    assert [one.remaining for one in first.results] == [1, 4]
    assert exports.hit("export", "7").allowed
    denied = exports.hit("export", "7")
    assert not denied
    assert denied.retry_after is not None
    assert 0 < denied.retry_after <= 61
    # Another is another, and so is one of another kind.
    assert exports.hit("export", "8").allowed
    assert exports.hit("report", "7").allowed
    assert not exports.peek("export", "7").allowed
    assert exports.peek("export", "8", cost=1).allowed
    assert not exports.peek("export", "8", cost=2).allowed


def test_a_subject_is_forgotten_when_that_is_wanted(exports):
    while exports.hit("export", "7"):
        pass
    exports.reset("export", "7")
    assert [one.remaining for one in exports.hit("export", "7").results] == [1, 4]


def test_what_costs_more_is_charged_more(exports):
    assert exports.hit("export", "7", cost=2).allowed
    assert not exports.hit("export", "7").allowed
    never = exports.hit("export", "8", cost=3)
    assert (never.allowed, never.retry_after) == (False, None)


def test_coroutines_ask_likewise(exports):
    async def ask() -> list[bool]:
        return [(await exports.ahit("export", "7")).allowed for _ in range(4)]

    assert async_to_sync(ask)() == [True, True, False, False]


@pytest.mark.parametrize(
    ("outage", "allowed", "retry_after"),
    [("open", [True] * 3, None), ("closed", [False] * 3, 1), ("local", [True, True, False], None)],
)
def test_without_redis_the_group_decides(limited, settings, outage, allowed, retry_after):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    limited(group("exports", {"subject": EXPORTS["subject"]}, outage=outage))
    verdicts = [scope("exports").hit("export", "7") for _ in range(3)]
    assert [one.allowed for one in verdicts] == allowed
    last = verdicts[-1].retry_after
    assert last == retry_after or (outage == "local" and last is not None and 0 < last <= 61)

    async def ask() -> bool:
        return (await scope("exports").ahit("export", "8")).allowed

    assert async_to_sync(ask)() is (outage != "closed")


@pytest.mark.parametrize(
    "nothing", [{"exempt": True}, {"rules": {"subject": {"by": "subject", "rate": "1/m", "mode": "off"}}}]
)
def test_where_there_is_no_limit_redis_is_not_asked(limited, redis_away, nothing):
    limited({"name": "exports", "outage": "closed", **nothing})
    assert all(scope("exports").hit("export", "7") for _ in range(3))
    assert all(async_to_sync(scope("exports").ahit)("export", "7") for _ in range(3))
    assert engine().breaker.failure is None


@pytest.mark.django_db(transaction=True)
def test_tasks_ask_in_the_processes_of_their_worker(platform):
    """Forked ones, which share nothing but Redis."""
    groups = [group("exports", {"subject": {"by": "subject", "rate": "3/h"}})]
    platform.environ |= {"RATELIMITS_GROUPS": json.dumps(groups), "RATELIMITS_TIMEOUT": "5"}
    platform.relay()
    platform.worker(concurrency=2)
    for _ in range(8):
        work.limited.delay("7")
    wait_for_all()
    assert Effect.objects.count() == 3


def test_a_group_that_is_not_there_is_an_error(exports):
    with pytest.raises(LookupError, match="no group 'imports'"):
        scope("imports").hit("export", "7")
    with pytest.raises(ValueError, match="needs a name"):
        exports.hit("export", "")
    with pytest.raises(ValueError, match="no kind"):
        exports.hit("Export", "7")


def test_a_view_has_limits_of_its_own_by_user_and_else_by_address(exports, new_user):
    anna = new_user()
    answers = [Client().get("/scoped", **bearing(token_of(anna))).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    assert [Client().get("/scoped").status_code for _ in range(3)] == [200, 200, 429]
    denied = Client().get("/scoped")
    body = json.loads(denied.content)
    assert (body["type"], body["violated-policies"]) == ("/problems/too-many-requests", ["exports/subject"])
    assert denied.headers["Content-Type"] == "application/problem+json"
    assert int(denied.headers["Retry-After"]) <= 61
    # What its address is limited by is told as ever.
    assert '"default/address"' in denied.headers["RateLimit"]
    assert Client(REMOTE_ADDR="192.0.2.1").get("/scoped").status_code == 200


def test_a_view_of_a_scope_that_is_closed_without_redis_says_so(limited, redis_away):
    limited(group("exports", EXPORTS, outage="closed"))
    answer = Client().get("/scoped")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.content)["type"] == "/problems/unavailable"


def test_a_view_whose_limits_are_closed_without_redis_says_so(limited, new_user, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    rules = {"user": {"by": "user", "rate": "9/m"}}
    limited(group("exports", EXPORTS), group("default", rules, outage="closed"))
    answer = Client().get("/closed", **bearing(token_of(new_user())))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.content)["type"] == "/problems/unavailable"
    assert engine().breaker.failure is not None
