"""Acting on signals: from what was asked for, and what is held, to orders.

A plain signal is an order of its quantity. An exit trades what is held, whatever quantity came with it. An
entry is an order of its quantity; where the opposite is held, that is closed first, and the entry waits.

What is held is known only while no market order for the same instrument is under way: a signal waits for
those, for as long as none of them is older than ``ORDERS_SETTLE_LIMIT``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone

from apps.candles.models import Instrument
from apps.orders import conf
from apps.orders.amounts import floor
from apps.orders.brokers.base import BrokerError, Refused
from apps.orders.broking import age_of, broker_for
from apps.orders.models import Account, Order, Position, position_id
from apps.orders.placing import InvalidOrder, order_place
from apps.orders.reasons import REASONS
from apps.orders.signals import EXITS, Signal
from apps.orders.states import WORKING, Intent, Kind, Side
from apps.tasks import PermanentError, RetryLater, current_run

#: Seconds between two looks at whether what is held is known.
_SETTLE_EVERY = 1.0
#: The direction that a signal trades in.
_SIDES = {
    Signal.BUY: Side.BUY,
    Signal.SELL: Side.SELL,
    Signal.LONG_ENTRY: Side.BUY,
    Signal.SHORT_EXIT: Side.BUY,
    Signal.SHORT_ENTRY: Side.SELL,
    Signal.LONG_EXIT: Side.SELL,
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A signal, as it is acted on."""

    account: Account
    instrument: Instrument
    signal: Signal
    quantity: Decimal | None
    price: Decimal | None
    simulation: bool
    order_id: uuid.UUID
    source_id: str
    received_at: datetime

    @property
    def on_paper(self) -> bool:
        """Whether it is traded on paper."""
        return self.simulation or self.account.simulation

    def place(self, **changes: Any) -> Order:
        """Place an order for it."""
        quantity = changes.pop("quantity", self.quantity)
        return order_place(
            **{
                "account": self.account,
                "instrument": self.instrument,
                "side": _SIDES[self.signal],
                "kind": Kind.MARKET if self.price is None else Kind.LIMIT,
                "quantity": Decimal(0) if quantity is None else quantity,
                "price": self.price,
                "simulation": self.simulation,
                "signal": self.signal,
                "source": Order.Source.WEBHOOK,
                "source_id": self.source_id,
                "order_id": self.order_id,
                "asked_at": self.received_at,
                **changes,
            }
        )


def signal_act(
    *,
    account_id: str,
    instrument_id: int,
    signal: str,
    quantity: str | None,
    price: str | None,
    simulation: bool,
    order_id: str,
    source_id: str,
    received_at: str,
) -> dict[str, Any]:
    """Place what the signal asks for, once: the order of *order_id* is the record that it was acted on.

    Raises `RetryLater` while what is held is not known, and `PermanentError` for a signal that cannot be.
    """
    if Order.objects.filter(pk=order_id).exists():
        return {"order": order_id}
    asked = Asked(
        account=Account.objects.select_related("user").get(pk=account_id),
        instrument=Instrument.objects.get(pk=instrument_id),
        signal=Signal(signal),
        quantity=_decimal(quantity),
        # What is held is exited at whatever price there is.
        price=None if signal in EXITS else _decimal(price),
        simulation=simulation,
        order_id=uuid.UUID(order_id),
        source_id=source_id,
        received_at=datetime.fromisoformat(received_at),
    )
    try:
        _act(asked)
    except InvalidOrder as exc:
        raise PermanentError(f"{exc.field}: {exc}") from exc
    return {"order": order_id}


def _decimal(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise PermanentError(f"{text!r} is no number") from None


def _act(asked: Asked) -> None:
    if asked.signal in (Signal.BUY, Signal.SELL):
        with current_run().completing():
            asked.place()
        return
    lot: Decimal | None = None
    if not _unsettled(asked) and _held(asked):
        try:
            # A request to the exchange, perhaps: before the transaction.
            lot = broker_for(asked.account, simulation=asked.on_paper).lot(asked.instrument.symbol)
        except Refused as exc:
            with current_run().completing():
                asked.place(intent=_intent(asked), refusal=(exc.code or "refused", str(exc)))
            return
        except BrokerError as exc:
            raise RetryLater(exc.retry_after or _SETTLE_EVERY, str(exc)) from exc
    with current_run().completing():
        asked = _alone(asked)
        # In this order: what ends after the first look is among what is held at the second.
        unsettled = _unsettled(asked)
        held = _held(asked)
        if unsettled:
            if age_of(unsettled.created_at) <= conf.settle_limit(simulation=asked.on_paper):
                raise RetryLater(_SETTLE_EVERY, f"order {unsettled.pk} is under way: {unsettled.state}")
            asked.place(intent=_intent(asked), refusal=("unsettled", REASONS["unsettled"]))
        elif held and lot is None:
            raise RetryLater(0, "what is held has changed just now")
        elif asked.signal in EXITS:
            _exit(asked, held, lot)
        else:
            _enter(asked, held, lot)


def _alone(asked: Asked) -> Asked:
    """The same with the account as it is now: no other signal of it is acted on until the transaction ends.

    The groups of signals see to that, but not for those that were sent before and after the account was put
    on paper. Raises `RetryLater` where that, or the contrary, was just now.
    """
    found = Account.objects.select_related("user").select_for_update(of=("self",), no_key=True)
    account = found.get(pk=asked.account.pk)
    if account.simulation != asked.account.simulation:
        raise RetryLater(0, "the account was put on paper, or was taken off it, just now")
    return replace(asked, account=account)


def _intent(asked: Asked) -> Intent:
    return Intent.EXIT if asked.signal in EXITS else Intent.ENTRY


def _unsettled(asked: Asked) -> Order | None:
    """The oldest market order that may still change what is held."""
    working = Order.objects.filter(
        account=asked.account,
        instrument=asked.instrument,
        simulation=asked.on_paper,
        kind=Kind.MARKET,
        state__in=WORKING,
    )
    return working.order_by("created_at", "pk").first()


def _held(asked: Asked) -> Decimal:
    """How much is held; negative is short."""
    key = position_id(account=asked.account.pk, instrument=asked.instrument.pk, simulation=asked.on_paper)
    return Position.objects.filter(pk=key).values_list("quantity", flat=True).first() or Decimal(0)


def _against(asked: Asked, held: Decimal, lot: Decimal | None) -> Decimal:
    """How much is held that the signal's side closes, in whole lots."""
    long = _SIDES[asked.signal] == Side.SELL
    if lot is None or not (held > 0 if long else held < 0):
        return Decimal(0)
    return floor(held.copy_abs(), lot)


def _exit(asked: Asked, held: Decimal, lot: Decimal | None) -> None:
    """Trade all that is held that way."""
    quantity = _against(asked, held, lot)
    if quantity:
        # Being late, an exit is wanted all the more; and of what is held now it is known that it is right.
        asked.place(intent=Intent.EXIT, quantity=quantity, asked_at=timezone.now())
    else:
        asked.place(intent=Intent.EXIT, refusal=("flat", REASONS["flat"]))


def _enter(asked: Asked, held: Decimal, lot: Decimal | None) -> None:
    """Open or add; what is held the other way is closed first."""
    opposite = _against(asked, held, lot)
    if not opposite:
        asked.place(intent=Intent.ENTRY)
        return
    now = timezone.now()
    close = asked.place(
        intent=Intent.CLOSE,
        kind=Kind.MARKET,
        price=None,
        quantity=opposite,
        order_id=close_leg_id(asked.order_id),
        asked_at=now,
    )
    asked.place(
        intent=Intent.ENTRY,
        after=close,
        release_before=now + conf.reversal_limit(simulation=asked.on_paper),
        flat_within=lot,
    )


def close_leg_id(order_id: uuid.UUID) -> uuid.UUID:
    """The id of the close leg of the reversal whose entry has this id."""
    return uuid.uuid5(order_id, "close")
