"""Whatever happens to orders in whatever order, their rows are what their events say."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from apps.events.selectors import read_stream
from apps.orders import services, submission, verification
from apps.orders.brokers.base import NotTaken, Refused, Unanswered, Unavailable
from apps.orders.models import Fill, Order
from apps.orders.projection import _CHANGES
from apps.orders.reconciling import orders_reconcile, unattended
from apps.orders.states import ENDED, FOUND_IN, TRANSITIONS, Side, State
from apps.tasks import RetryLater
from apps.tasks.models import TaskRun
from apps.tasks.testing import make_due, run_pending
from tests.orders.helpers import check, held, now, place
from tests.orders.scripted import ScriptedBroker, changed

pytestmark = pytest.mark.django_db

STEPS = (
    "rest", "rest", "half", "fill", "half fill", "half cancelled", "expired", "rejected", "fill lost",
    "rest lost", "half hide fill",
)  # fmt: skip


def test_the_tables_of_states_and_events_fit_each_other():
    assert set(FOUND_IN) == set(_CHANGES)
    assert set(TRANSITIONS) == {"", *State}
    assert {state for state in State if not TRANSITIONS[state]} == {State.REJECTED}
    # Whatever has not ended can end.
    for state in set(State) - ENDED:
        assert TRANSITIONS[state] & ENDED


class History:
    """Random deeds of users, workers, the broker and its market, on a few orders."""

    def __init__(self, seed: int, account: Any, market: Any, broker: ScriptedBroker) -> None:
        self.random = random.Random(seed)
        self.account, self.market, self.broker = account, market, broker
        self.orders: list[Order] = []

    def step(self) -> None:
        deeds = (
            self.place, self.work, self.work, self.look, self.look, self.trade, self.end, self.cancel,
            self.resolve, self.look_again, self.again, self.outage, self.contradict, self.reconcile,
        )  # fmt: skip
        self.random.choice(deeds)()

    def any(self) -> Order | None:
        return self.random.choice(self.orders) if self.orders else None

    def place(self) -> None:
        if len(self.orders) == 3:
            return
        errors = [NotTaken("later"), Refused("no", code="x"), Unanswered("lost"), RuntimeError("bug")]
        self.broker.script.append(self.random.choice([*STEPS, *errors]))
        self.broker.fee = self.random.choice([(Decimal("0.01"), "BTC"), (Decimal("0.5"), "USDT")])
        price = self.random.choice([None, "90"])
        self.orders.append(
            place(self.account, self.market, "2", price=price, side=self.random.choice(list(Side)).value)
        )

    def work(self) -> None:
        run_pending()

    def look(self) -> None:
        for run in TaskRun.objects.filter(state="scheduled"):
            make_due(run)
        run_pending()

    def _booked(self) -> Order | None:
        order = self.any()
        return order if order is not None and str(order.pk) in self.broker.book else None

    def trade(self) -> None:
        if (order := self._booked()) and self.broker[order].state in (
            State.SUBMITTED,
            State.PARTIALLY_FILLED,
        ):
            self.broker.trade(order, self.random.choice(["0.5", "1"]))

    def end(self) -> None:
        if order := self._booked():
            self.broker[order].hidden = 0
            self.broker.end(order, self.random.choice([State.CANCELLED, State.EXPIRED]))

    def contradict(self) -> None:
        if (order := self._booked()) and self.broker[order].fills and self.random.random() < 0.3:
            fills = self.broker[order].fills
            fills[0] = changed(fills[0], price=fills[0].price + 1)

    def cancel(self) -> None:
        self._operate(services.order_cancel)

    def look_again(self) -> None:
        self._operate(services.order_look_again)

    def resolve(self) -> None:
        self._operate(
            services.order_resolve,
            outcome=self.random.choice(["filled", "cancelled", "rejected"]),
            price=self.random.choice([None, Decimal(95)]),
        )

    def _operate(self, service: Any, **more: Any) -> None:
        if order := self.any():
            with suppress(services.WrongState, services.InvalidOrder):
                service(order=order, by="user:1", **more)

    def again(self) -> None:
        """A run comes once more."""
        if order := self.any():
            with suppress(RetryLater):
                submission.order_submit(str(order.pk))
            verification.order_look(str(order.pk), self.random.randint(0, 4))

    def outage(self) -> None:
        self.broker.down = self.random.choice([None, None, Unavailable("503")])

    def reconcile(self) -> None:
        if self.random.random() < 0.3:
            TaskRun.objects.all().delete()
        orders_reconcile()
        assert unattended() == []


def test_rows_are_what_their_events_say_after_any_history(account, market, broker, settings):
    settings.ORDERS_VERIFY_LOOKS = 3
    seen: set[str] = set()
    for seed in range(7):
        broker.down, broker.absence_is_proof_after = None, random.Random(seed).choice([None, 0.0])
        broker.script.clear()
        history = History(seed, account, market, broker)
        for _ in range(25):
            history.step()
        for order in map(now, history.orders):
            seen.add(order.state)
            # Once handed over, an order is not again until the broker has proved that it lacks it.
            types = [event.type for event in read_stream(order.stream)]
            started = types.count("order.submission_started")
            assert (
                started
                == order.submissions
                <= 1 + types.count("order.not_taken") + types.count("order.absent")
            )
            traded = order.fills.aggregate(sum=Sum("quantity"))["sum"] or 0
            assert traded == order.filled
            if order.verified_at is not None:
                assert order.state in ENDED
    check()
    assert len(seen) >= 6, seen
    signed = sum(
        (fill.quantity if fill.order.side == "buy" else -fill.quantity)
        - (fill.fee if fill.fee_currency == "BTC" else 0)
        for fill in Fill.objects.select_related("order")
    )
    assert held(account, market) == signed
