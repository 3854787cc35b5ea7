"""What Prometheus is told of orders."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.orders import tally
from apps.orders.models import EventCount, Order
from tests.orders.helpers import looked, place, submitted
from tests.support import forget_events, settle

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def scrape(client) -> dict[str, float]:
    text = client.get("/metrics").content.decode()
    return {
        name: float(value) for name, value in re.findall(r"^(chandlery_order\S+) (\S+)$", text, re.MULTILINE)
    }


def test_orders_that_are_open_unknown_and_unverified_are_told_of(admin_client, account, market, broker):
    forget_events()
    broker.script += ["lost", "rest", "fill"]
    for _ in range(3):
        place(account, market)
    submitted()
    Order.objects.filter(state="unknown").update(created_at=timezone.now() - timedelta(seconds=500))
    settle()
    found = scrape(admin_client)
    assert found['chandlery_orders_open{state="unknown"}'] == 1
    assert found['chandlery_orders_open_oldest_seconds{state="unknown"}'] >= 500
    assert found['chandlery_orders_open{state="submitted"}'] == 1
    assert found['chandlery_orders_open{state="needs_review"}'] == 0
    assert found["chandlery_orders_unverified"] == 1
    assert found["chandlery_orders_unverified_oldest_seconds"] >= 0
    assert found['chandlery_order_events_total{outcome="",type="unanswered"}'] == 1
    looked()
    settle()
    found = scrape(admin_client)
    assert found["chandlery_orders_unverified"] == 0
    assert found['chandlery_order_events_total{outcome="ended",type="looked"}'] == 1
    assert found['chandlery_order_events_total{outcome="open",type="looked"}'] == 2
    counts = dict(EventCount.objects.values_list("type", "count"))
    assert counts["order.received"] == 3
    tally.catch_up()
    assert dict(EventCount.objects.values_list("type", "count")) == counts
