"""``/metrics`` of a web process while the database is away, and when a part of its figures cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, connections
from django.test import Client
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from apps.core.collectors import DatabaseCollector
from apps.ratelimits.engine import engine

pytestmark = pytest.mark.django_db(transaction=True)


class Part(Collector):
    """Tells of one figure, and then fails unless it is *sound*."""

    def __init__(self, name: str, *, sound: bool = True) -> None:
        self.name, self.sound = name, sound

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(self.name, "A figure", 1)
        if not self.sound:
            raise ProgrammingError("no such\ntable")


def scraped(**headers: str) -> tuple[int, dict[str, dict[str, float]]]:
    """The status, and each figure by what its labels are."""
    answer = Client().get("/metrics", headers=headers)
    found: dict[str, dict[str, float]] = {}
    if answer.status_code == 200:
        for family in text_string_to_metric_families(answer.content.decode()):
            for one in family.samples:
                found.setdefault(one.name, {})[",".join(one.labels.values())] = one.value
    return answer.status_code, found


@pytest.fixture
def limits(own_keys: None, settings: Any) -> Iterator[None]:
    """Requests are counted, as they are everywhere but in tests."""
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_TIMEOUT = 5.0
    yield
    engine().keeper.stop()


def test_without_its_database_it_tells_the_rest_and_that_figures_are_missing(
    own_queues, limits, settings, monkeypatch, caplog
):
    settings.METRICS_TOKEN = "scraper"
    there = scraped(Authorization="Bearer scraper")
    assert there[0] == 200
    read = there[1]["chandlery_collector_up"]
    assert read == dict.fromkeys(
        ("tasks", "liveness", "audit", "emails", "candles", "orders", "webhooks"), 1.0
    )
    connection.close()
    with monkeypatch.context() as patch, caplog.at_level("WARNING", "apps.core.collectors"):
        # Nothing listens there.
        patch.setitem(connections.settings["default"], "PORT", "1")
        (code, told), _ = (scraped(Authorization="Bearer scraper") for _ in range(2))
    assert (code, told["chandlery_collector_up"]) == (200, dict.fromkeys(read, 0.0))
    assert told["chandlery_build_info"]
    assert told["chandlery_http_requests_total"]
    assert told["chandlery_liveness_reachable"] == told["chandlery_ratelimit_reachable"] == {"": 1.0}
    assert set(told["chandlery_sqs_reachable"].values()) == {1.0}
    assert "chandlery_orders_open" in there[1]
    assert "chandlery_orders_open" not in told
    # Once for each, however often somebody asks.
    assert len(caplog.records) == len(read)
    assert scraped(Authorization="Bearer scraper")[1]["chandlery_collector_up"] == read


def test_a_part_that_cannot_be_read_leaves_the_others_alone(caplog: Any):
    database, registry = DatabaseCollector(), CollectorRegistry(auto_describe=False)
    database.register("broken", broken := Part("a", sound=False))
    database.register("sound", Part("b"))
    registry.register(database)

    def told() -> dict[str, dict[str, float]]:
        return {
            one.name: {",".join(sample.labels.values()): sample.value for sample in one.samples}
            for one in registry.collect()
        }

    assert told()["chandlery_collector_up"] == {"broken": 0.0, "sound": 1.0}
    assert told()["b"] == {"": 1.0}
    assert [one.getMessage() for one in caplog.records] == [
        "the figures of broken are missing: ProgrammingError: no such table"
    ]
    broken.sound = True
    assert told()["chandlery_collector_up"] == {"broken": 1.0, "sound": 1.0}
