"""What operators are told: counts, consumers, denials, and Prometheus."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from django.test import Client
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from apps.ratelimits import conf, selectors
from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.limiter import Reason, Unavailable
from apps.ratelimits.metrics import RateLimitCollector
from apps.ratelimits.scopes import scope
from apps.ratelimits.services import subject_reset
from apps.ratelimits.tally import MOST_CONSUMERS
from apps.stack import sockets
from tests.cluster import start
from tests.ratelimits.requesting import by_address, by_user, group, statuses
from tests.support import in_child, wait_until


def scraped() -> str:
    registry = CollectorRegistry()
    registry.register(RateLimitCollector())
    return generate_latest(registry).decode()


@pytest.fixture
def busy(limited, new_user):
    """Five requests of one address, of which two are denied; one of another; two of a user."""
    limited(
        group("exports", {"subject": {"by": "subject", "rate": "1/m"}}),
        group("default", {"address": by_address("3/m"), "user": by_user("9/m")}),
    )
    statuses(Client(REMOTE_ADDR="192.0.2.1"), "/plain?secret=1", 5)
    statuses(Client(REMOTE_ADDR="192.0.2.2"), "/plain", 1)
    client = Client(REMOTE_ADDR="192.0.2.3")
    client.force_login(new_user())
    statuses(client, "/who", 2)
    scope("exports").hit("export", "7")
    scope("exports").hit("export", "7")
    engine().look_after()


def test_consumers_are_those_who_used_most(busy):
    found = selectors.consumers("default/address")
    assert [(one.subject, one.used, one.denied) for one in found] == [
        ("address:192.0.2.1", 3, 2),
        ("address:192.0.2.3", 2, 0),
        ("address:192.0.2.2", 1, 0),
    ]
    assert [one.subject for one in selectors.consumers("default/address", most=1)] == ["address:192.0.2.1"]
    [user] = selectors.consumers("default/user", seconds=600)
    assert (user.used, user.denied) == (2, 0)
    assert selectors.consumers("default/nothing") == []


def test_denials_tell_who_was_denied_what_the_latest_first(busy):
    first, *others = selectors.denials()
    assert (first.policy, first.subject, first.method) == ("exports/subject", "export:7", "")
    assert [(one.policy, one.subject, one.method, one.path, one.shadow) for one in others] == [
        ("default/address", "address:192.0.2.1", "GET", "/plain", False)
    ] * 2
    assert len(selectors.denials(most=1)) == 1


def test_usage_is_what_a_subject_has_used_of_each_policy(busy):
    [one] = selectors.usage("address:192.0.2.1")
    assert (one.policy.id, one.used, one.remaining, one.full) == ("default/address", 3, 0, False)
    assert selectors.usage("address:192.0.2.99") == []


def test_prometheus_is_told_the_same_whatever_process_is_asked(busy):
    text = scraped()
    for line in (
        "chandlery_ratelimit_reachable 1.0",
        'chandlery_ratelimit_decisions_total{group="default",outcome="allowed"} 6.0',
        'chandlery_ratelimit_decisions_total{group="default",outcome="denied"} 1.0',
        'chandlery_ratelimit_decisions_total{group="default",outcome="cached"} 1.0',
        'chandlery_ratelimit_decisions_total{group="exports",outcome="denied"} 1.0',
        'chandlery_ratelimit_denials_total{mode="enforced",policy="default/address"} 2.0',
    ):
        assert line in text
    engine().keeper.stop()


def test_prometheus_is_told_when_redis_is_away(limited, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    text = scraped()
    assert "chandlery_ratelimit_reachable 0.0" in text
    assert "decisions" not in text
    for ask in (selectors.counts, selectors.denials, lambda: selectors.consumers("a/b")):
        with pytest.raises(Unavailable):
            ask()


def test_counts_come_to_redis_by_themselves(limited):
    limited(group("default", {"address": by_address("3/m")}))
    Client().get("/plain")
    wait_until(selectors.counts, seconds=30, what="the keeper to bring counts")


def test_counts_of_many_processes_add_up(limited):
    limited(group("default", {"address": by_address("100/m")}))
    others = [Engine(conf.config()) for _ in range(3)]
    for limits in others:
        policy = limits.rules().rule("default/address").policy()
        for _ in range(4):
            limits.tally.decided(limits.hit([(policy, "address:192.0.2.1")], 1))
        limits.look_after()
    [one] = selectors.consumers("default/address")
    assert one.used == 12


def test_what_is_reset_is_free_at_once_here_and_elsewhere(limited):
    limited(group("default", {"address": by_address("1/m"), "all": {"by": "everyone", "rate": "9/m"}}))
    client = Client()
    assert statuses(client, "/plain", 3) == [200, 429, 429]
    assert subject_reset(subject="address:127.0.0.1") == 1
    assert client.get("/plain").status_code == 200
    assert subject_reset(subject="everyone:all", policies=["default/all"]) == 1
    assert subject_reset(subject="everyone:all", policies=["default/all"]) == 0
    with pytest.raises(LookupError, match="no rule 'other'"):
        subject_reset(subject="everyone:all", policies=["default/other"])


def test_all_of_it_works_on_a_cluster(limited, settings):
    with ExitStack() as stack:
        settings.REDIS_URL, settings.REDIS_CLUSTER = (
            f"redis://{sockets.HOST}:{start(stack, 3)[0].port}/0",
            True,
        )
        limited(group("default", {"address": by_address("2/m")}))
        assert statuses(Client(), "/plain", 4) == [200, 200, 429, 429]
        engine().look_after()
        assert [(one.used, one.denied) for one in selectors.consumers("default/address")] == [(2, 2)]
        assert len(selectors.denials()) == 2
        assert 'outcome="allowed"} 2.0' in scraped()
        assert subject_reset(subject="address:127.0.0.1") == 1
        assert Client().get("/plain").status_code == 200
        engine().keeper.stop()


def test_many_consumers_come_to_redis_piece_by_piece_and_each_once(limited):
    limited(group("default", {"address": by_address("9/m")}))
    limits = engine()
    policy = limits.rules().rule("default/address").policy()
    for number in range(1203):
        limits.tally.decided(limits.limiter.hit([(policy, f"address:{number}")], 1 + (number == 7)))

    class Failing:
        """Redis goes away in the middle of it."""

        def __init__(self) -> None:
            self.asked = 0

        def run(self, *asked):
            self.asked += 1
            if self.asked == 2:
                raise Unavailable(Reason.TIMEOUT)
            return limits.limiter.transport.run(*asked)

    with pytest.raises(Unavailable):
        limits.tally.flush(Failing())
    limits.tally.flush(limits.limiter.transport)
    limits.tally.flush(limits.limiter.transport)
    found = selectors.consumers("default/address", most=2000)
    # A list has so many, and no more.
    assert len(found) == MOST_CONSUMERS
    assert [(one.subject, one.used) for one in found[:1]] == [("address:7", 2)]
    assert {one.used for one in found[1:]} == {1}


def test_a_forked_process_counts_its_own_and_nothing_twice(limited):
    limited(group("default", {"address": by_address("9/m")}))
    Client().get("/plain")
    here = engine()
    here.keeper.stop()

    def ask() -> bool:
        own = engine()
        policy = own.rules().rule("default/address").policy()
        own.tally.decided(own.limiter.hit([(policy, "address:127.0.0.1")], 1))
        own.tally.flush(own.limiter.transport)
        return own is not here

    assert in_child(ask) == 0
    here.look_after()
    assert [one.used for one in selectors.consumers("default/address")] == [2]
