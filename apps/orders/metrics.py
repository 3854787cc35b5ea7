"""What Prometheus is told of orders."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.orders import selectors, tally
from apps.orders.models import EventCount
from apps.orders.selectors import Unfinished
from apps.orders.states import WORKING


class OrderCollector(Collector):
    """Reads the database."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        yield from _open()
        yield from _events()


def _open() -> Iterator[Metric]:
    found = selectors.unfinished()
    orders = GaugeMetricFamily("chandlery_orders_open", "Orders that have not ended", labels=["state"])
    ages = GaugeMetricFamily(
        "chandlery_orders_open_oldest_seconds", "Since the oldest of them was asked for", labels=["state"]
    )
    for state in sorted(WORKING):
        one = found.get(state, Unfinished())
        orders.add_metric([state], one.count)
        ages.add_metric([state], one.oldest)
    yield orders
    yield ages
    unverified = found.get("unverified", Unfinished())
    yield GaugeMetricFamily(
        "chandlery_orders_unverified",
        "Orders that have ended at a broker and are not verified",
        unverified.count,
    )
    yield GaugeMetricFamily(
        "chandlery_orders_unverified_oldest_seconds", "Since the first of them ended", unverified.oldest
    )


def _events() -> Iterator[Metric]:
    tally.catch_up()
    events = CounterMetricFamily(
        "chandlery_order_events",
        "What happened to orders; looks by what they came to",
        labels=["type", "outcome"],
    )
    for row in EventCount.objects.order_by("type", "outcome"):
        events.add_metric([row.type.removeprefix("order."), row.outcome], row.count)
    yield events
