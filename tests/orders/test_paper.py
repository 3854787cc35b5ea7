"""Orders on paper: filled by stored minutes, through the same steps as real ones."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.candles.services import write_candles
from apps.candles.timeframes import minute_of, to_ms
from apps.orders.models import Order, PaperOrder
from apps.orders.states import State
from tests.candles.helpers import walk
from tests.orders.helpers import check, held, looked, now, place, submitted
from tests.orders.test_signals import Sender

pytestmark = pytest.mark.django_db


def test_an_order_on_paper_waits_for_its_minute_and_a_reversal_for_both(account, market, settings):
    settings.ORDERS_VERIFY_LOOKS = 2
    past = minute_of(timezone.now()) - timedelta(minutes=5)
    minutes = walk(3, start=to_ms(past))
    write_candles(instrument=market, minutes=minutes)
    price = Decimal(int(minutes.open[0])).scaleb(-2)

    def time_passes() -> None:
        """A minute that opened after the orders were placed is stored."""
        PaperOrder.objects.filter(state="submitted").update(placed_at=past)
        looked()

    order = place(account, market, "1", simulation=True)
    submitted()
    for _ in range(3):
        looked()
    # However long there is none.
    assert (now(order).state, now(order).fruitless_looks) == (State.SUBMITTED, 0)
    time_passes()
    order = now(order)
    assert (order.state, order.average_price, order.verified_at is not None) == (State.FILLED, price, True)
    assert held(account, market, simulation=True) == 1
    assert held(account, market) == 0
    entry = Sender(account, market).done("short_entry", "2", simulation=True)
    assert (entry.release_before - timezone.now()).total_seconds() > 500
    looked()
    assert now(entry).state == State.ACCEPTED
    time_passes()
    assert now(entry).state == State.SUBMITTED
    time_passes()
    assert (now(entry).state, held(account, market, simulation=True)) == (State.FILLED, -2)
    assert Order.objects.filter(simulation=False).count() == 0
    check()


def test_orders_that_no_minute_can_fill_end(account, market, settings):
    past = minute_of(timezone.now()) - timedelta(minutes=5)
    write_candles(instrument=market, minutes=walk(3, start=to_ms(past)))
    dear = place(account, market, str(10**14), simulation=True)
    late = place(account, market, "1", simulation=True)
    submitted()
    assert {now(dear).state, now(late).state} == {State.SUBMITTED}
    settings.ORDERS_PAPER_WAIT = 60.0
    # The one meets a minute by which it is worth more than can be kept, the other has met none in time.
    for order, placed_at in ((dear, past), (late, past + timedelta(minutes=3))):
        PaperOrder.objects.filter(client_order_id=order.client_order_id).update(placed_at=placed_at)
    looked()
    for order, state, reason in ((dear, State.REJECTED, "not below"), (late, State.EXPIRED, "in time")):
        order = now(order)
        assert (order.state, order.filled) == (state, 0)
        assert reason in order.reason
        assert not order.to_be_looked_at
    assert held(account, market, simulation=True) == 0
    check()
