"""Signals: entries, exits, and reversals that never double what is held."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.core.ids import uuid7
from apps.orders import reversals, services
from apps.orders.acting import close_leg_id
from apps.orders.brokers.base import NotTaken, Refused, Unavailable
from apps.orders.models import Order
from apps.orders.requesting import signal_group
from apps.orders.states import Intent, Side, State
from apps.orders.tasks import act_on_signal
from apps.tasks import RetryLater
from apps.tasks.models import TaskRun
from apps.tasks.states import State as RunState
from apps.tasks.testing import advance, drain, run_pending
from tests.orders.helpers import check, held, looked, now, place, story, submitted

pytestmark = pytest.mark.django_db


class Sender:
    """Sends signals of one account and instrument, as webhooks do."""

    def __init__(self, account: Any, market: Any) -> None:
        self.account, self.market = account, market

    def send(self, signal: str, quantity: str | None = "1", *, age: float = 0, **more: Any) -> Any:
        """Request it, and return the id of its order."""
        order_id = uuid7()
        act_on_signal.apply_async(
            kwargs={
                "account_id": str(self.account.pk),
                "instrument_id": self.market.pk,
                "signal": signal,
                "quantity": quantity,
                "simulation": False,
                "order_id": str(order_id),
                "source_id": "delivery",
                "received_at": (timezone.now() - timedelta(seconds=age)).isoformat(),
                **more,
            },
            group_key=signal_group(
                account_id=self.account.pk, instrument_id=self.market.pk, simulation=False
            ),
        )
        return order_id

    def done(self, signal: str, quantity: str | None = "1", **more: Any) -> Order:
        """Send it, and do all that is due: its order."""
        order_id = self.send(signal, quantity, **more)
        submitted()
        return Order.objects.get(pk=order_id)


@pytest.fixture
def sender(account, market) -> Sender:
    return Sender(account, market)


def act(sender: Sender, order_id: Any, signal: str) -> None:
    """The run of a signal comes once more."""
    act_on_signal(
        account_id=str(sender.account.pk), instrument_id=sender.market.pk, signal=signal, quantity="1",
        simulation=False, order_id=str(order_id), source_id="delivery",
        received_at=timezone.now().isoformat(),
    )  # fmt: skip


def test_plain_signals_trade_their_quantity_whatever_is_held(sender, account, market, broker):
    for signal, quantity, price, after in (
        ("buy", "2", None, "2"),
        ("sell", "0.5", None, "1.5"),
        ("sell", "3", "100", "-1.5"),
    ):
        order = sender.done(signal, quantity, price=price)
        assert (order.intent, order.signal, order.source) == (Intent.PLAIN, signal, "webhook")
        assert (order.state, order.kind) == (State.FILLED, "limit" if price else "market")
        assert held(account, market) == Decimal(after)
    check()


def test_entries_open_and_add_and_exits_trade_what_is_held_in_whole_lots(sender, account, market, broker):
    broker.fee, broker.step = (Decimal("0.0005"), "BTC"), Decimal("0.001")
    first, second = sender.done("long_entry", "1"), sender.done("long_entry", "0.5")
    assert (first.intent, second.intent, second.after) == (Intent.ENTRY, Intent.ENTRY, None)
    assert held(account, market) == Decimal("1.499")
    broker.fee = (Decimal("0.0004"), "BTC")
    sender.done("buy", "0.001")
    assert held(account, market) == Decimal("1.4996")
    broker.fee = (Decimal(0), "")
    # The quantity that came with it means nothing.
    left = sender.done("long_exit", "77")
    assert (left.intent, left.side, left.quantity) == (Intent.EXIT, Side.SELL, Decimal("1.499"))
    assert held(account, market) == Decimal("0.0006")
    sender.done("sell", "2")
    short = sender.done("short_exit", None)
    assert (short.side, short.quantity) == (Side.BUY, Decimal("1.999"))
    check()


def test_an_exit_of_nothing_is_recorded_and_nobody_is_written_to(sender, account, market, broker, outside):
    nothing = sender.done("long_exit", None)
    assert (nothing.state, nothing.reason_code, nothing.quantity) == (State.REJECTED, "flat", 0)
    sender.done("sell", "1")
    # Short is not what it exits.
    assert sender.done("long_exit", "3").reason_code == "flat"
    assert held(account, market) == -1
    assert [kind for what, kind, _ in outside if what == "mail"] == []


def test_a_reversal_waits_for_its_close_leg(sender, account, market, broker):
    sender.done("long_entry", "1")
    broker.script.append("rest")
    entry = sender.done("short_entry", "2")
    close = Order.objects.get(pk=close_leg_id(entry.pk))
    assert (close.intent, close.side, close.quantity) == (Intent.CLOSE, Side.SELL, 1)
    assert (entry.state, entry.after_id, entry.flat_within) == (State.ACCEPTED, close.pk, broker.step)
    assert 25 < (entry.release_before - timezone.now()).total_seconds() <= 30
    assert len(broker.submissions) == 2
    broker.trade(close, "0.4")
    looked()
    assert now(entry).state == State.ACCEPTED
    broker.trade(close, "0.6")
    looked()
    entry = now(entry)
    assert (entry.state, entry.release_before) == (State.FILLED, None)
    assert story(entry)[2] == "released"
    assert held(account, market) == -2
    # Its time is over, and that means nothing any more.
    assert reversals.reversal_abort(str(entry.pk)) is False
    # And back, with fees in the base currency.
    broker.fee = (Decimal("0.01"), "BTC")
    entry = sender.done("long_entry", "1")
    assert entry.state == State.FILLED
    assert held(account, market) == Decimal("0.98")
    check()


def test_a_reversal_is_aborted_where_its_close_leg_ends_otherwise_or_too_late(
    sender, account, market, broker, settings, outside
):
    def reverse(step: Any) -> tuple[Order, Order]:
        """Long by one; then the close leg of a reversal comes to *step*."""
        missing = 1 - held(account, market)
        if missing:
            place(account, market, str(abs(missing)), side="buy" if missing > 0 else "sell")
            submitted()
        assert held(account, market) == 1
        outside.clear()
        broker.script.append(step)
        entry = sender.done("short_entry", "1")
        return entry, Order.objects.get(pk=close_leg_id(entry.pk))

    for step in ("half cancelled", "expired", Refused("no", code="x")):
        entry, _ = reverse(step)
        assert (entry.state, entry.reason_code) == (State.CANCELLED, "reversal_aborted"), step
        assert "order_rejected" in [kind for what, kind, _ in outside if what == "mail"]
    # The close leg is filled after the time is over.
    entry, close = reverse("rest")
    with pytest.raises(RetryLater):
        reversals.reversal_abort(str(entry.pk))
    Order.objects.filter(pk=entry.pk).update(release_before=timezone.now() - timedelta(seconds=1))
    reversals.reversal_abort(str(entry.pk))
    broker.trade(close, "1")
    looked()
    assert (now(close).state, now(entry).state, held(account, market)) == (State.FILLED, State.CANCELLED, 0)
    # And where the run that aborts it is late itself.
    entry, close = reverse("rest")
    Order.objects.filter(pk=entry.pk).update(release_before=timezone.now() - timedelta(seconds=1))
    broker.trade(close, "1")
    looked()
    assert (now(entry).state, held(account, market)) == (State.CANCELLED, 0)
    # And where something else was traded meanwhile.
    entry, close = reverse("rest")
    place(account, market, "3", price="100")
    submitted()
    broker.trade(close, "1")
    looked()
    assert (now(entry).state, held(account, market)) == (State.CANCELLED, 3)
    assert "3 are held" in now(entry).reason


def test_what_is_too_little_to_be_closed_keeps_no_entry_back(sender, account, market, broker, outside):
    """As the fee for what closed a short position leaves it."""
    for code, sold in (("NOTIONAL", "0.002"), ("MIN_NOTIONAL", "1")):
        place(account, market, sold, side="sell")
        submitted()
        assert held(account, market) == Decimal("-0.002")
        outside.clear()
        broker.script.append(Refused("worth too little", code=code))
        entry = sender.done("long_entry", "1")
        close = Order.objects.get(pk=close_leg_id(entry.pk))
        assert (close.state, close.reason_code, close.quantity) == (State.REJECTED, code, Decimal("0.002"))
        assert (entry.state, held(account, market)) == (State.FILLED, Decimal("0.998"))
        # Nobody is written to: there is nothing to be done about it.
        assert [kind for what, kind, _ in outside if what == "mail"] == []
    check()


def test_a_reversal_is_aborted_by_its_run_when_the_time_is_over(sender, account, market, broker, settings):
    settings.ORDERS_REVERSAL_LIMIT = 0
    sender.done("long_entry", "1")
    broker.script.append("rest")
    entry = sender.done("short_entry", "1")
    drain("fills.fifo")
    assert (now(entry).state, now(entry).reason_code) == (State.CANCELLED, "reversal_aborted")


def test_a_signal_waits_until_what_is_held_is_known(sender, account, market, broker, settings, outside):
    broker.script.append(NotTaken("later", retry_after=20))
    place(account, market, "2")
    submitted()
    order_id = sender.send("long_exit", None)
    elsewhere = sender.send("buy", "1")
    submitted()
    # In the order of signals.
    assert not Order.objects.filter(pk__in=[order_id, elsewhere]).exists()
    [run] = TaskRun.objects.filter(task="orders.act_on_signal", state="scheduled", attempt=1)
    assert "is under way" in run.error["message"]
    advance(21)
    submitted()
    advance(21)
    submitted()
    assert Order.objects.get(pk=order_id).quantity == 2
    assert Order.objects.get(pk=elsewhere).state == State.FILLED
    # What has been under way for too long is not waited for.
    settings.ORDERS_SETTLE_LIMIT = 0
    broker.script.append("rest")
    place(account, market, "2")
    outside.clear()
    for signal in ("long_exit", "short_entry"):
        order = sender.done(signal, "1")
        assert (order.state, order.reason_code, order.quantity) == (State.REJECTED, "unsettled", 1)
    assert [kind for what, kind, _ in outside if what == "mail"] == ["order_rejected"] * 2
    # Plain signals, and other instruments, are not held up; nor by limit orders.
    assert sender.done("sell", "1").state == State.FILLED


def test_every_signal_is_acted_on_once(sender, account, market, broker):
    for signal in ("buy", "long_entry", "long_exit", "short_exit"):
        order = sender.done(signal)
        count = Order.objects.count()
        act(sender, order.pk, signal)
        assert Order.objects.count() == count
    sender.done("long_entry", "1")
    entry = sender.done("short_entry", "1")
    act(sender, entry.pk, "short_entry")
    assert Order.objects.filter(signal="short_entry").count() == 2
    submitted()
    assert held(account, market) == -1
    assert len(broker.submissions) == len({one.client_order_id for one in broker.submissions})


def test_an_exchange_that_does_not_say_the_lot_delays_exits_and_loses_none(sender, account, market, broker):
    sender.done("buy", "1")
    broker.down = Unavailable("503", retry_after=9)
    order_id = sender.send("long_exit", None)
    submitted()
    assert not Order.objects.filter(pk=order_id).exists()
    broker.down = None
    advance(10)
    submitted()
    assert Order.objects.get(pk=order_id).state == State.FILLED
    sender.done("buy", "1")
    broker.down = Refused("keys", code="-2015")
    assert sender.done("long_exit").reason_code == "-2015"


def test_old_signals_are_not_sent_but_for_exits(sender, account, market, broker):
    assert sender.done("buy", age=400).reason_code == "too_old"
    assert sender.done("long_entry", age=400).reason_code == "too_old"
    sender.done("buy")
    assert sender.done("long_exit", age=400).state == State.FILLED


def test_a_signal_that_cannot_be_is_a_dead_letter(sender, account, market, broker):
    for quantity in ("-1", "x", "NaN", None):
        order_id = sender.send("buy", quantity)
        submitted()
        assert not Order.objects.filter(pk=order_id).exists()
    assert TaskRun.objects.filter(state=RunState.DEAD).count() == 4


def test_an_account_that_may_not_rejects_and_tells(sender, account, market, broker, outside):
    type(account).objects.update(enabled=False)
    for signal in ("buy", "long_entry", "long_exit"):
        order = sender.done(signal)
        assert order.state == State.REJECTED
    assert [more["context"]["reason_code"] for what, kind, more in outside if kind == "order_rejected"] == [
        "account_disabled", "account_disabled",
    ]  # fmt: skip
    assert broker.submissions == []


def test_a_reversals_entry_can_be_cancelled_while_it_waits(sender, account, market, broker):
    sender.done("long_entry", "1")
    broker.script.append("rest")
    entry = sender.done("short_entry", "1")
    services.order_cancel(order=entry, by="user:1")
    broker.trade(Order.objects.get(pk=close_leg_id(entry.pk)), "1")
    looked()
    run_pending()
    assert (now(entry).state, held(account, market)) == (State.CANCELLED, 0)
    assert "released" not in story(entry)
