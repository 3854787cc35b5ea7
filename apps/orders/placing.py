"""Placing orders: recorded, checked, and handed on to be submitted, in one transaction."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from apps.candles.models import Instrument
from apps.core.ids import uuid7
from apps.events.records import NewEvent
from apps.orders import announcing, limits
from apps.orders.amounts import exact, text
from apps.orders.limits import DailyLimitReached, daily_take
from apps.orders.models import Account, Order
from apps.orders.moving import order_move
from apps.orders.outcomes import rejected
from apps.orders.reasons import REASONS
from apps.orders.recording import OrderMoved
from apps.orders.requesting import abort_request, submission_request
from apps.orders.states import Intent, Kind, Side, State

#: What has to be the same for an order to be the same one, asked for again.
_SAME = ("account_id", "instrument_id", "side", "kind", "intent", "quantity", "price", "simulation")
#: Keys of requests become ids of orders within this.
_KEYS = uuid.UUID("5f0e9b2e-6a0b-5c0e-9a6f-6f7264657273")


class InvalidOrder(ValueError):
    """The order cannot be. ``field`` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class OrderExists(Exception):
    """There is an order of that id, and it is another one."""


class _PlacedBefore(Exception):
    """The order of this key is there."""


@transaction.atomic
def order_place(
    *,
    account: Account,
    instrument: Instrument,
    side: str,
    kind: str,
    quantity: Decimal,
    price: Decimal | None = None,
    simulation: bool = True,
    intent: str = Intent.PLAIN,
    signal: str = "",
    source: str,
    source_id: str = "",
    order_id: uuid.UUID | None = None,
    after: Order | None = None,
    release_before: datetime | None = None,
    flat_within: Decimal | None = None,
    asked_at: datetime | None = None,
    refusal: tuple[str, str] | None = None,
) -> Order:
    """Record an order, and have it submitted if the account may place it; else it is rejected, with a reason.

    It is traded on paper where *simulation* or the account says so. *quantity* is in units of the base
    currency, *price* the limit in the quote currency. With an *order_id* that is taken, the order of that id
    is returned; nothing is done a second time. One that is placed *after* a close leg waits until that is
    filled and leaves less than *flat_within*, and is given up at *release_before*. Its age counts from
    *asked_at*. With *refusal*, a code and a reason, it is recorded as rejected, and may be of nothing.

    Raises `InvalidOrder` for amounts that cannot be, and `OrderExists` where the id is that of an order with
    other content. The user is told by e-mail of the rejection of what a signal asked for.
    """
    _check(kind, quantity, price, refused=refusal is not None)
    order = Order(id=order_id or uuid7())
    order.account, order.instrument = account, instrument
    on_paper = simulation or account.simulation
    received = NewEvent(
        type="order.received",
        data={
            "account": str(account.pk),
            "instrument": instrument.pk,
            "simulation": on_paper,
            "side": Side(side).value,
            "kind": Kind(kind).value,
            "intent": Intent(intent).value,
            "quantity": text(quantity),
            "price": None if price is None else text(price),
            "signal": str(signal),
            "source": Order.Source(source).value,
            "source_id": source_id,
            "client_order_id": str(order.pk),
            "after": None if after is None else str(after.pk),
            "release_before": _iso(release_before),
            "flat_within": None if flat_within is None else text(flat_within),
            "asked_at": _iso(asked_at or timezone.now()),
        },
    )
    refusal = refusal or _refusal(account, instrument, on_paper)
    verdict = rejected("us", *refusal) if refusal else NewEvent(type="order.accepted")
    earlier = Order.objects.filter(pk=order.pk).first() if order_id else None
    if earlier is None:
        try:
            order_move(order, [received, verdict], mail=source == Order.Source.WEBHOOK)
        except OrderMoved:
            # Of two at once, the second waits for the first and then finds its order.
            earlier = Order.objects.get(pk=order.pk)
    if earlier is not None:
        return _same(earlier, account, instrument, received)
    if order.state == State.ACCEPTED:
        announcing.order_placed(order)
        if order.waits:
            abort_request(order)
        else:
            submission_request(order)
    return order


def order_request(
    *,
    account: Account,
    instrument: Instrument,
    side: str,
    kind: str,
    quantity: Decimal,
    price: Decimal | None = None,
    simulation: bool = True,
    source: str = Order.Source.API,
    key: str = "",
) -> Order:
    """Place a plain order, as `order_place`, that counts for the account's day.

    With a *key* that a request of the account's user came with before, the order of then is returned, and
    nothing is counted. Raises `DailyLimitReached` beside what `order_place` raises.
    """
    order_id = uuid.uuid5(_KEYS, f"{account.user_id}:{key}") if key else uuid7()

    def place() -> Order:
        return order_place(
            account=account,
            instrument=instrument,
            side=side,
            kind=kind,
            quantity=quantity,
            price=price,
            simulation=simulation,
            source=source,
            source_id=key,
            order_id=order_id,
        )

    try:
        with transaction.atomic():
            # Whoever comes second with one key waits here, and then finds the order of the first.
            day = datetime.now(UTC).date()
            taken = daily_take(account=account, simulation=simulation or account.simulation, day=day)
            if Order.objects.filter(pk=order_id).exists():
                raise _PlacedBefore
            if taken.allowed:
                return place()
    except _PlacedBefore:
        order = place()
        order.was_there = True
        return order
    raise DailyLimitReached(f"{taken.used} orders were asked for today; {taken.limit} is the limit.")


def _check(kind: str, quantity: Decimal, price: Decimal | None, *, refused: bool) -> None:
    if not exact(quantity):
        raise InvalidOrder("quantity", "Has more than 20 digits before the point or 18 after it.")
    if quantity < 0 or (quantity == 0 and not refused):
        raise InvalidOrder("quantity", "Must be above zero.")
    if kind == Kind.MARKET:
        if price is not None:
            raise InvalidOrder("price", "Market orders have none.")
        return
    if price is None:
        raise InvalidOrder("price", "Limit orders need one.")
    if not exact(price):
        raise InvalidOrder("price", "Has more than 20 digits before the point or 18 after it.")
    if price <= 0:
        raise InvalidOrder("price", "Must be above zero.")


def _refusal(account: Account, instrument: Instrument, on_paper: bool) -> tuple[str, str] | None:
    """Why the account may not place it, as a code and in words; None where it may."""
    code = ""
    if not (account.enabled and account.user.is_active):
        code = "account_disabled"
    elif instrument.exchange != account.exchange:
        code = "wrong_exchange"
    elif not instrument.active:
        code = "instrument_inactive"
    elif instrument.kind != Instrument.Kind.SPOT:
        code = "not_spot"
    elif not on_paper and limits.plan_of(account).simulation_only:
        code = "real_not_allowed"
    elif not on_paper and not (account.api_key and account.api_secret):
        code = "keys_missing"
    return (code, REASONS[code]) if code else None


def _same(earlier: Order, account: Account, instrument: Instrument, received: NewEvent) -> Order:
    """*earlier*, if it is what is asked for. Raises `OrderExists`."""
    asked = {
        **received.data,
        "account_id": account.pk,
        "instrument_id": instrument.pk,
        "quantity": Decimal(received.data["quantity"]),
        "price": None if received.data["price"] is None else Decimal(received.data["price"]),
    }
    other = [name for name in _SAME if getattr(earlier, name) != asked[name]]
    if other:
        names = ", ".join(name.removesuffix("_id") for name in other)
        raise OrderExists(f"Order {earlier.pk} was placed before with another {names}.")
    earlier.account, earlier.instrument = account, instrument
    return earlier


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
