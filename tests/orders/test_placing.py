"""Orders are checked, recorded once, and counted for the day."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.candles.models import Instrument
from apps.core.ids import uuid7
from apps.orders import limits, services
from apps.orders.models import DailyRefusal, DailyUse, Order
from apps.orders.states import State
from apps.tasks.testing import assert_requested, requested
from tests.candles.helpers import instrument
from tests.orders.helpers import check, now, place, story

pytestmark = pytest.mark.django_db


def test_an_order_is_recorded_with_the_run_that_submits_it(account, market, outside):
    order = place(account, market, "0.30000000", price="100.5", source="admin", source_id="x")
    assert now(order).quantity == Decimal("0.3")
    assert order.client_order_id == str(order.pk)
    [run] = assert_requested("orders.submit", kwargs={"order_id": str(order.pk)}, count=1)
    assert (run.queue, run.group_key) == ("orders.fifo", f"account:{account.pk}")
    assert [kind for _, kind, _ in outside] == ["order.placed"]
    check()
    with pytest.raises(RuntimeError), transaction.atomic():
        place(account, market)
        raise RuntimeError
    assert (Order.objects.count(), len(requested("orders.submit"))) == (1, 1)


def test_what_an_account_may_not_do_is_rejected_with_a_reason(account, market, outside):
    elsewhere = instrument("BTC/USDT", exchange="kraken")
    gone = instrument("OLD/USDT", active=False)

    def code(of=market, *, simulation=False, **changes):
        for name, value in changes.items():
            setattr(account, name, value)
        order = place(account, of, simulation=simulation)
        assert order.simulation is (simulation or account.simulation)
        return now(order).reason_code

    assert code(elsewhere) == "wrong_exchange"
    assert code(gone) == "instrument_inactive"
    for kind in (Instrument.Kind.SWAP, Instrument.Kind.FUTURE):
        contract = instrument(f"BTC/USDT:{kind}", kind=kind)
        assert code(contract) == code(contract, simulation=True) == "not_spot"
    assert code(api_secret="") == "keys_missing"
    assert code(plan="basic") == "real_not_allowed"
    assert code(simulation=True) == ""
    assert code(plan="no longer there") == "real_not_allowed"
    account.simulation = True
    assert code() == ""
    account.user.is_active = False
    assert code() == "account_disabled"
    account.user.is_active = True
    assert code(enabled=False) == "account_disabled"
    assert len(requested("orders.submit")) == 2
    # Whoever placed it was there to see it.
    assert [kind for what, kind, _ in outside if what == "mail"] == []
    place(account, market, source="webhook")
    assert [kind for what, kind, _ in outside if what == "mail"] == ["order_rejected"]
    check()


def test_amounts_that_cannot_be_are_refused(account, market):
    for quantity, price, field in (
        ("0", None, "quantity"), ("-1", None, "quantity"), ("NaN", None, "quantity"),
        ("1e-19", None, "quantity"), ("1e20", None, "quantity"), ("Infinity", None, "quantity"),
        ("1", "0", "price"), ("1", "-1", "price"), ("1", "NaN", "price"),
    ):  # fmt: skip
        with pytest.raises(services.InvalidOrder) as refused:
            place(account, market, quantity, price=price)
        assert refused.value.field == field, (quantity, price)
    with pytest.raises(services.InvalidOrder, match="Limit orders need one"):
        place(account, market, kind="limit")
    with pytest.raises(services.InvalidOrder, match="Market orders have none"):
        place(account, market, price="1", kind="market")
    assert not Order.objects.exists()
    smallest = place(account, market, "0.000000000000000001", price="99999999999999999999.999999999999999999")
    assert str(now(smallest).price) == "99999999999999999999.999999999999999999"
    check()
    # Only what was rejected may be of nothing.
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.update(quantity=0)


def test_an_order_of_one_id_is_placed_once(account, market, outside):
    order_id = uuid7()
    first = place(account, market, "1.50", order_id=order_id)
    again = place(account, market, "1.5", order_id=order_id)
    assert first.pk == again.pk == order_id
    assert len(requested("orders.submit")) == len(outside) == 1
    for changes in ({"quantity": "2"}, {"side": "sell"}, {"price": "1"}, {"intent": "entry"}):
        with pytest.raises(services.OrderExists, match=f"Order {order_id} was placed before"):
            place(account, market, **{"quantity": "1.5", "order_id": order_id, **changes})
    assert story(first) == ["received", "accepted"]


def test_a_day_has_so_many_orders_and_exits_are_never_refused(account, outside):
    account.daily_limit = 2
    day, other = date(2026, 3, 1), date(2026, 3, 2)

    def take(day=day, simulation=False, exempt=False):
        taken = limits.daily_take(account=account, simulation=simulation, day=day, exempt=exempt)
        return taken.allowed, taken.used, taken.limit

    assert [take(), take(), take(), take()] == [
        (True, 1, 2), (True, 2, 2), (False, 2, 2), (False, 2, 2),
    ]  # fmt: skip
    assert take(exempt=True) == (True, 3, 2)
    assert take() == (False, 3, 2)
    assert take(simulation=True) == take(other) == (True, 1, 2)
    assert DailyUse.objects.get(day=day, simulation=False).orders == 3
    assert DailyRefusal.objects.get(day=day, simulation=False).refused == 3
    # Told once a day.
    assert [(what, kind) for what, kind, _ in outside] == [
        ("audit", "daily_limit.reached"), ("mail", "daily_limit"),
    ]  # fmt: skip
    account.daily_limit = 0
    assert take(date(2026, 3, 3)) == (False, 0, 0)
    assert take(date(2026, 3, 4), exempt=True) == (True, 1, 0)
    account.daily_limit = None
    assert take(other)[2] == 1000
    account.plan = "no longer there"
    assert take(other) == (False, 2, 0)


def test_a_request_counts_once_and_is_refused_beyond_the_limit(account, market):
    account.daily_limit = 1

    def ask(key="", quantity="1"):
        return services.order_request(
            account=account, instrument=market, side="buy", kind="market", quantity=Decimal(quantity),
            key=key, simulation=False,
        )  # fmt: skip

    first = ask("a")
    assert ask("a").pk == first.pk
    with pytest.raises(services.OrderExists):
        ask("a", "2")
    with pytest.raises(services.DailyLimitReached, match="1 is the limit"):
        ask("b")
    assert ask("a").pk == first.pk
    with pytest.raises(services.DailyLimitReached):
        ask()
    today = datetime.now(UTC).date()
    assert DailyUse.objects.get(day=today).orders == 1
    assert DailyRefusal.objects.get(day=today).refused == 2
    assert Order.objects.get().state == State.ACCEPTED
    assert isinstance(first.pk, uuid.UUID)
