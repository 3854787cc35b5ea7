"""Two at once, on real connections: an order is placed once, and cancelled or submitted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.core.ids import uuid7
from apps.orders import acting, services, submission
from apps.orders.models import DailyUse, Order
from apps.orders.states import State
from apps.tasks import RetryLater
from tests.orders.helpers import check, held, now, place, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Do these at the same time, each on a connection of its own: what they return, or raise."""
    barrier = Barrier(len(deeds))

    def do(deed: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return deed()
        except Exception as exc:
            return exc
        finally:
            connection.close()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(do, deeds))


def test_requests_with_one_key_place_one_order_and_count_once(account, market):
    def ask() -> Order:
        return services.order_request(
            account=account, instrument=market, side="buy", kind="market", quantity=Decimal(1), key="k",
            simulation=False,
        )  # fmt: skip

    for _ in range(3):
        orders = at_once(ask, ask, ask)
        assert {order.pk for order in orders} == {Order.objects.get().pk}
    assert DailyUse.objects.get().orders == 1
    assert story(orders[0]) == ["received", "accepted"]


def test_an_order_is_cancelled_or_submitted(account, market, broker):
    ends = set()
    for _ in range(4):
        order = place(account, market)
        answers = at_once(
            lambda order=order: services.order_cancel(order=order, by="user:1"),
            lambda order=order: submission.order_submit(str(order.pk)),
        )
        for answer in answers:
            assert not isinstance(answer, Exception) or isinstance(answer, services.WrongState | RetryLater)
        order = now(order)
        submissions = sum(one.client_order_id == str(order.pk) for one in broker.submissions)
        assert (order.state, submissions) in ((State.CANCELLED, 0), (State.FILLED, 1))
        ends.add(order.state)
    assert ends
    check()


def test_what_is_held_is_exited_once_though_two_groups_act_on_it(account, market, broker):
    """Signals of one account come in two groups where it was put on paper between them."""

    def exit_signal() -> dict[str, Any]:
        return acting.signal_act(
            account_id=str(account.pk), instrument_id=market.pk, signal="long_exit", quantity=None,
            price=None, simulation=False, order_id=str(uuid7()), source_id="d",
            received_at=timezone.now().isoformat(),
        )  # fmt: skip

    for _ in range(3):
        submission.order_submit(str(place(account, market).pk))
        answers = at_once(exit_signal, exit_signal, exit_signal)
        assert sorted(type(answer).__name__ for answer in answers) == ["RetryLater", "RetryLater", "dict"]
        [exited] = Order.objects.filter(intent="exit", state=State.ACCEPTED)
        submission.order_submit(str(exited.pk))
        assert held(account, market) == 0
    check()
