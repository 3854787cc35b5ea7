"""The broker of everything that is only simulated: it fills orders on stored minutes.

A market order is filled in whole at the open of the first stored minute that opens when it was placed or
later, so never by a price from before, worsened by ``ORDERS_PAPER_SLIPPAGE_BPS``. A limit order is filled in
whole, at its limit or at the open if that is better, by the first such minute that reaches the limit. Until
there is such a minute an order is open: candles come later than what they tell of. A market order expires
where no minute that opens within ``ORDERS_PAPER_WAIT`` is stored by then. What was filled stays filled at
that price, whatever is stored later. Funds have no end, amounts have: see `MOST`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.selectors import Opening, coverage, first_minute
from apps.orders.amounts import product, total
from apps.orders.brokers import conf
from apps.orders.brokers.base import BrokerFill, BrokerOrder, NotTaken, Refused, Report
from apps.orders.brokers.paper_models import PaperOrder
from apps.orders.brokers.registry import PAPER, Offer
from apps.orders.brokers.rules import is_multiple
from apps.orders.states import Kind, Side, State

if TYPE_CHECKING:
    from apps.orders.models import Account

#: Seconds from the start of a submission after which it is not taken.
_LATE = 5.0
#: Quantities and values of orders are below this: so what is added up of them can be stored.
MOST = Decimal(10) ** 15
_NOTIONAL = f"its value is not below {MOST:,f}"
#: The newest minute that there can be opened so long ago.
_NEWEST = timedelta(minutes=2)
#: Why an order ended without a fill.
_REASONS = {
    State.REJECTED: _NOTIONAL,
    State.EXPIRED: "no minute was stored in time that could have filled it",
}


@dataclass(frozen=True, kw_only=True)
class _Fill:
    price: Decimal
    fee: Decimal
    at: datetime


class PaperBroker:
    """One account on paper. Orders are looked at, and filled, whenever they are asked for."""

    #: A submission is one row, and none begins late.
    absence_is_proof_after: float | None = 2 * _LATE

    def __init__(self, account: Account, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self._account = account
        self._clock = clock

    def submit(self, order: BrokerOrder) -> Report:
        """See `Broker.submit`. An order with an id that was taken before is that order."""
        taken = self.find(order)
        if taken is not None:
            return taken
        instrument = self._instrument(order.symbol)
        _check(order, instrument)
        now = self._clock()
        self._check_minutes(order, instrument, now)
        if order.begun is not None and time.monotonic() - order.begun > _LATE:
            raise NotTaken(
                f"more than {_LATE:.0f} s after the submission began it is not taken any more", code="LATE"
            )
        row, _ = PaperOrder.objects.get_or_create(
            account=self._account,
            client_order_id=order.client_order_id,
            defaults={
                "instrument": instrument,
                "side": order.side,
                "kind": order.kind,
                "quantity": order.quantity,
                "price": order.price,
                "placed_at": now,
            },
        )
        return _report(self._settled(row))

    def find(self, order: BrokerOrder) -> Report | None:
        """See `Broker.find`."""
        row = self._row(order)
        return None if row is None else _report(self._settled(row))

    def fills(self, order: BrokerOrder) -> Sequence[BrokerFill]:
        """See `Broker.fills`."""
        row = self._row(order)
        return () if row is None else _report(self._settled(row)).fills

    def cancel(self, order: BrokerOrder) -> Report | None:
        """See `Broker.cancel`. Minutes that are stored already fill it before it is cancelled."""
        row = self._row(order)
        if row is None:
            return None
        if self._settled(row).state == State.SUBMITTED:
            _change(row, state=State.CANCELLED)
        return _report(row)

    def lot(self, symbol: str) -> Decimal:
        """See `Broker.lot`."""
        return Decimal(1).scaleb(-self._instrument(symbol).volume_scale)

    def _instrument(self, symbol: str) -> Instrument:
        found = Instrument.objects.filter(exchange=self._account.exchange, symbol=symbol).first()
        if found is None:
            raise Refused(f"{self._account.exchange}:{symbol} is not known here", code="SYMBOL")
        return found

    def _check_minutes(self, order: BrokerOrder, instrument: Instrument, now: datetime) -> None:
        """Raise `Refused` for an order that minutes cannot fill, as far as is known."""
        stored = coverage([instrument.pk]).get(instrument.pk)
        if stored is None:
            raise Refused(f"no minute of {instrument} is stored: nothing could fill it", code="NO_CANDLES")
        if order.kind == Kind.MARKET and now - stored.last > conf.paper_wait() + _NEWEST:
            raise Refused(
                f"the newest minute of {instrument} that is stored is of {stored.last:%Y-%m-%d %H:%M}:"
                " nothing would fill it in time",
                code="NO_CANDLES",
            )

    def _settled(self, row: PaperOrder) -> PaperOrder:
        """An order as the minutes that are stored now leave it."""
        if row.state != State.SUBMITTED:
            return row
        buys, market = row.side == Side.BUY, row.kind == Kind.MARKET
        last = row.placed_at + conf.paper_wait()
        minute = first_minute(
            instrument_id=row.instrument_id,
            since=row.placed_at,
            down_to=row.price if buys else None,
            up_to=None if buys else row.price,
        )
        if minute is not None and not (market and minute.ts > last):
            fill = _fill(row, minute)
            if fill is None:
                _change(row, state=State.REJECTED)
            else:
                _change(row, state=State.FILLED, fill_price=fill.price, fee=fill.fee, filled_at=fill.at)
        elif market and self._clock() > last:
            _change(row, state=State.EXPIRED)
        return row

    def _row(self, order: BrokerOrder) -> PaperOrder | None:
        """An order of the account, by the client's id of it, which no two have."""
        rows = PaperOrder.objects.select_related("instrument")
        return rows.filter(account=self._account, client_order_id=order.client_order_id).first()


def _check(order: BrokerOrder, instrument: Instrument) -> None:
    """Raise `Refused` for amounts that the market would not take."""
    if (order.kind == Kind.LIMIT) != (order.price is not None):
        raise Refused("a limit order needs a price, and a market order takes none", code="PRICE_FILTER")
    sizes = [("quantity", order.quantity, instrument.volume_scale, "LOT_SIZE")]
    if order.price is not None:
        sizes.append(("price", order.price, instrument.price_scale, "PRICE_FILTER"))
    for name, amount, scale, code in sizes:
        if not amount.is_finite() or amount <= 0:
            raise Refused(f"the {name} {amount} is not above zero", code=code)
        if not is_multiple(amount, step := Decimal(1).scaleb(-scale)):
            raise Refused(f"the {name} {amount:f} is no multiple of {step:f}", code=code)
    if order.quantity >= MOST:
        raise Refused(f"the quantity {order.quantity:f} is not below {MOST:,f}", code="LOT_SIZE")
    if order.price is not None and product(order.quantity, order.price) >= MOST:
        raise Refused(_NOTIONAL, code="NOTIONAL")


def _fill(row: PaperOrder, minute: Opening) -> _Fill | None:
    """What filling an order by a minute comes to; None where it would be worth too much."""
    buys = row.side == Side.BUY
    if row.price is not None:
        price = min(row.price, minute.price) if buys else max(row.price, minute.price)
    else:
        slipped = product(minute.price, conf.paper_slippage() / 10_000)
        worse = total(minute.price, slipped if buys else slipped.copy_negate())
        # To the next price that the market has, to the trader's disadvantage.
        price = worse.quantize(minute.price, ROUND_CEILING if buys else ROUND_FLOOR)
        # A price of nothing would be none.
        price = price or minute.price
    value = product(price, row.quantity)
    return None if value >= MOST else _Fill(price=price, fee=product(value, conf.paper_fee()), at=minute.ts)


def _change(row: PaperOrder, **values: object) -> None:
    """Change an open order, unless somebody was quicker: *row* then is as they left it."""
    if PaperOrder.objects.filter(pk=row.pk, state=State.SUBMITTED).update(**values):
        for name, value in values.items():
            setattr(row, name, value)
    else:
        row.refresh_from_db()


def _report(row: PaperOrder) -> Report:
    fills: tuple[BrokerFill, ...] = ()
    if row.fill_price is not None and row.fee is not None and row.filled_at is not None:
        fills = (
            BrokerFill(
                trade_id=f"{row.client_order_id}-1",
                price=row.fill_price,
                quantity=row.quantity,
                fee=row.fee,
                fee_currency=row.instrument.quote if row.fee else "",
                traded_at=row.filled_at,
            ),
        )
    return Report(
        venue_order_id=str(row.pk),
        state=State(row.state),
        filled=row.quantity if fills else Decimal(0),
        fills=fills,
        reason=_REASONS.get(State(row.state), ""),
    )


OFFER = Offer(name=PAPER, exchanges=frozenset(), open=PaperBroker)
