"""From a signal to what is held, by way of a broker in memory."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.orders import brokers
from apps.orders.models import Order, Position
from apps.tasks.testing import drain, run_pending
from apps.webhooks.models import Delivery
from tests.orders.scripted import ScriptedBroker
from tests.webhooks.helpers import ABSENT, Sender, action

pytestmark = pytest.mark.django_db


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> ScriptedBroker:
    scripted = ScriptedBroker()
    monkeypatch.setattr(brokers, "broker_for", lambda account, *, simulation: scripted)
    return scripted


def test_signals_of_both_formats_become_orders_once_and_what_is_held(sender: Sender, client, broker):
    def real(body: Any, *, event: bool = False) -> dict[str, Any]:
        send = sender.event if event else sender.send
        first, second = (send(client, body, query="?simulation=false") for _ in range(2))
        assert first.status_code in (200, 202), first.content
        assert second.json() == first.json()
        drain("orders.fifo")
        told: dict[str, Any] = first.json()
        return told

    def held() -> Decimal:
        return Position.objects.get().quantity

    entry = real(sender.signal("long_entry", symbol="BINANCE:BTCUSDT"))
    order = Order.objects.get(pk=entry["order"])
    assert (order.state, order.side, order.quantity) == ("filled", "buy", Decimal("0.5"))
    assert (order.source, order.source_id, order.signal) == ("webhook", entry["delivery"], "long_entry")
    assert held() == Decimal("0.5")
    # The reversal closes what is held first.
    real(action(side="sell", leg="entry"), event=True)
    assert held() == Decimal("-0.25")
    real(sender.signal("short_exit", quantity=ABSENT))
    assert held() == 0
    assert [one.quantity for one in broker.submissions] == [
        Decimal(text) for text in ("0.5", "0.5", "0.25", "0.25")
    ]
    run_pending()
    rows = Delivery.objects.order_by("at").values_list("outcome", "order_id")
    accepted = {order_id for outcome, order_id in rows if outcome == "accepted"}
    assert len(rows) == 6
    assert accepted == {order_id for outcome, order_id in rows if outcome == "duplicate"}
    assert accepted <= set(Order.objects.values_list("pk", flat=True))
