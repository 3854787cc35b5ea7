"""What the steps that talk to brokers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta

from django.utils import timezone

from apps.orders import brokers, conf
from apps.orders.amounts import plain
from apps.orders.brokers.base import Broker, BrokerFill, BrokerOrder, Report
from apps.orders.models import Account, Fill, Order
from apps.orders.outcomes import Reading, read
from apps.orders.states import Kind, Side


def order_get(order_id: str) -> Order:
    """The order with its account, its user and its instrument; not locked. Raises `Order.DoesNotExist`."""
    return Order.objects.select_related("account__user", "instrument").get(pk=order_id)


def broker_for(account: Account, *, simulation: bool) -> Broker:
    """The account's broker, on paper or for real. May take seconds, and raises `BrokerError`."""
    broker: Broker = brokers.broker_for(account, simulation=simulation)
    return broker


def broker_of(order: Order) -> Broker:
    """The broker that the order is traded at; as `broker_for`.

    A real order stays one, though its account may have been put on paper since.
    """
    account = copy(order.account)
    account.simulation = order.simulation
    return broker_for(account, simulation=order.simulation)


def told(order: Order, *, begun: float | None = None) -> BrokerOrder:
    """What a broker is told of the order. *begun*: see there."""
    return BrokerOrder(
        client_order_id=order.client_order_id,
        symbol=order.instrument.symbol,
        side=Side(order.side),
        kind=Kind(order.kind),
        quantity=plain(order.quantity),
        price=None if order.price is None else plain(order.price),
        venue_order_id=order.venue_order_id,
        begun=begun,
    )


def trades_of(broker: Broker, order: Order, report: Report) -> Sequence[BrokerFill]:
    """The trades that *report* speaks of, fetched where it lacks them. Raises as `Broker.fills`."""
    if report.fills or not report.filled:
        return report.fills
    asked = told(order)
    if not asked.venue_order_id:
        asked = replace(asked, venue_order_id=report.venue_order_id)
    return broker.fills(asked)


def reading_of(order: Order, report: Report, trades: Sequence[BrokerFill], *, arrival: str) -> Reading:
    """What a report means for the order, which is locked. See `outcomes.read`."""
    return read(order=order, known=_known(order, trades), report=report, trades=trades, arrival=arrival)


def _known(order: Order, trades: Sequence[BrokerFill]) -> Mapping[str, Fill]:
    """Those of the trades that are recorded, be it for another order of the account."""
    recorded = Fill.objects.filter(
        account_id=order.account_id,
        simulation=order.simulation,
        instrument_id=order.instrument_id,
        trade_id__in=[trade.trade_id for trade in trades],
    )
    return {fill.trade_id: fill for fill in recorded}


def too_late(order: Order) -> str:
    """Why the order may not be submitted any more, as a code; empty where it may."""
    code, left = _soonest(order)
    return code if left < timedelta(0) else ""


def time_left(order: Order) -> float:
    """Seconds after which `too_late` has a reason; not less than none."""
    return max(0.0, _soonest(order)[1].total_seconds())


def _soonest(order: Order) -> tuple[str, timedelta]:
    """What the order will be too late for first, and how long until then."""
    age = timezone.now() - order.asked_at
    limits = [("not_taken", conf.submit_limit(simulation=order.simulation) - age)]
    if order.kind == Kind.MARKET:
        limits.insert(0, ("too_old", conf.market_max_age(simulation=order.simulation) - age))
    return min(limits, key=lambda limit: limit[1])


def age_of(moment: datetime | None) -> timedelta:
    """How long ago a moment was."""
    return timezone.now() - moment if moment else timedelta(0)
