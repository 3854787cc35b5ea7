"""Exchanges as brokers, through ccxt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from django.db import DatabaseError

from apps.candles.exchanges import check_rest, rest
from apps.candles.venues.errors import VenueError, VenueRefused
from apps.candles.venues.instruments import find_market
from apps.orders.amounts import text
from apps.orders.brokers import conf
from apps.orders.brokers.base import (
    BrokerError,
    BrokerFill,
    BrokerOrder,
    NotTaken,
    Refused,
    Report,
    Unanswered,
    Unavailable,
    Unreadable,
)
from apps.orders.brokers.clients import KeysUnreadable, trading_client
from apps.orders.brokers.dialects import DIALECTS
from apps.orders.brokers.errors import Phase, classify, is_absence
from apps.orders.brokers.reading import read_fills, read_report
from apps.orders.brokers.registry import Offer
from apps.orders.brokers.rules import check, step_of
from apps.orders.states import ENDED

if TYPE_CHECKING:
    import ccxt

    from apps.orders.models import Account

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Seconds from the start of a submission after which it is not worth sending: the exchange would refuse it.
_LATE = 4.0
#: Binance's and Bybit's word for a time that is not their own, or that was too long ago.
_OTHER_TIME = frozenset({"-1021", "10002"})
#: Binance's word for too many orders of one account, which is no limit of all who ask from this address.
_ACCOUNT_LIMIT = "-1015"


class CcxtBroker:
    """One account at one exchange.

    While the exchange wants to be left alone, which holds for every account and for candles as well, nothing
    is sent to it.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._dialect = DIALECTS[account.exchange]
        window = self._dialect.window
        self.absence_is_proof_after = None if window is None else window + conf.settle()

    def submit(self, order: BrokerOrder) -> Report:
        """See `Broker.submit`."""
        if not self._dialect.client_ids.fullmatch(order.client_order_id):
            raise Refused(
                f"{self._account.exchange} takes no such client order id: {order.client_order_id!r}",
                code="CLIENT_ORDER_ID",
            )
        begun = time.monotonic() if order.begun is None else order.begun
        with self._asking(Phase.SUBMIT, order.symbol) as client:
            check(order, _market(client, order.symbol))
            age = time.monotonic() - begun
            if age > _LATE:
                raise NotTaken(f"not sent: the submission began {age:.1f} s ago", code="LATE")
            answer = client.create_order(
                order.symbol,
                str(order.kind),
                str(order.side),
                text(order.quantity),
                None if order.price is None else text(order.price),
                self._dialect.submission(client, order, age_ms=max(0, int(age * 1000))),
            )
            return read_report(order, answer, placed=True)

    def find(self, order: BrokerOrder) -> Report | None:
        """See `Broker.find`."""
        with self._asking(Phase.LOOK, order.symbol) as client:
            found = _unless_absent(lambda: self._dialect.find(client, order))
            return None if found is None else read_report(order, found)

    def fills(self, order: BrokerOrder) -> Sequence[BrokerFill]:
        """See `Broker.fills`."""
        if not order.venue_order_id:
            raise ValueError("the trades of an order are found by the exchange's id of it")
        with self._asking(Phase.LOOK, order.symbol) as client:
            return read_fills(order, self._dialect.trades(client, order))

    def cancel(self, order: BrokerOrder) -> Report | None:
        """See `Broker.cancel`."""
        with self._asking(Phase.LOOK, order.symbol) as client:
            try:
                cancelled = self._dialect.cancel(client, order)
            except Exception as error:
                if not is_absence(error):
                    raise
            else:
                return None if cancelled is None else read_report(order, cancelled)
        # There is none that is open. One that has ended is told of; one that is still said to be open, or
        # that is not known, may be on its way.
        found = self.find(order)
        return found if found is not None and found.state in ENDED else None

    def lot(self, symbol: str) -> Decimal:
        """See `Broker.lot`."""
        with self._asking(Phase.LOOK, symbol) as client:
            return step_of(_market(client, symbol), "amount")

    @contextmanager
    def _asking(self, phase: Phase, symbol: str = "") -> Iterator[Any]:
        """The account's client within a block; every failure there as what it means for an order."""
        not_asked = NotTaken if phase is Phase.SUBMIT else Unavailable
        try:
            check_rest(self._account.exchange)
            with trading_client(self._account, symbol=symbol) as client:
                # ccxt writes it down when it has signed a request, right before it sends that.
                client.last_request_url = None
                try:
                    yield client
                except Unreadable as error:
                    if phase is Phase.SUBMIT:
                        raise Unanswered(str(error), code="UNREADABLE") from error
                    raise
                except (BrokerError, VenueError):
                    raise
                except Exception as error:
                    self._fail(error, client, phase)
        except VenueError as error:
            raise not_asked(str(error), retry_after=error.retry_after) from error
        except KeysUnreadable as error:
            raise not_asked(f"the keys of the account cannot be opened: {error}") from error

    def _fail(self, error: Exception, client: ccxt.Exchange, phase: Phase) -> NoReturn:
        exchange = self._account.exchange
        failure = classify(
            error,
            exchange=exchange,
            phase=phase,
            sent=client.last_request_url is not None,
            last_headers=client.last_response_headers,
        )
        if failure.code in _OTHER_TIME:
            # The clocks differ. That this may fail as well changes nothing of what is known.
            with suppress(Exception):
                client.load_time_difference()
        limited = isinstance(failure, NotTaken | Unavailable) and failure.code != _ACCOUNT_LIMIT
        if limited and failure.retry_after:
            try:
                rest(exchange, seconds=failure.retry_after, reason=str(failure))
            except DatabaseError:
                log.exception("%s asked to be left alone, which could not be recorded", exchange)
        raise failure from error


def _market(client: ccxt.Exchange, symbol: str) -> dict[str, Any]:
    """ccxt's entry for *symbol*. Raises `Refused` where the exchange, whose list is there, has none."""
    try:
        return find_market(client, symbol)
    except VenueRefused as error:
        raise Refused(str(error), code="SYMBOL") from error


def _unless_absent(look: Callable[[], Result | None]) -> Result | None:
    try:
        return look()
    except Exception as error:
        if is_absence(error):
            return None
        raise


OFFER = Offer(name="ccxt", exchanges=frozenset(DIALECTS), open=CcxtBroker)
