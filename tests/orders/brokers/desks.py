"""Accounts to trade with: on paper, and at a simulated exchange through the real ccxt client."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from apps.candles.models import Exchange as RestingExchange
from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.timeframes import to_datetime
from apps.core.crypto import seal
from apps.core.ids import uuid7
from apps.orders.brokers import Broker, BrokerOrder, broker_for
from apps.orders.brokers.clients import forget_clients
from apps.orders.brokers.dialects import Binance, Dialect
from apps.orders.brokers.paper import PaperBroker
from apps.orders.models import Account
from apps.orders.states import Kind, Side
from apps.stack.exchange.api import Exchange
from tests.candles.helpers import MONDAY, Arrays, instrument, walk
from tests.stack.exchange_process import ExchangeAt
from tests.stack.exchanges import Trader, serving

SYMBOL = "BTC/USDT"
ORDER = "/api/v3/order"

_numbers = itertools.count(1)


def account_of(*, exchange: str = "binance", key: str = "", secret: str = "", **fields: Any) -> Account:
    """A new account of a new user, with sealed keys if any are given. It is for real unless told."""
    number = next(_numbers)
    user = get_user_model().objects.create_user(f"trader-{number}")
    account = Account(user=user, name="main", exchange=exchange, **{"simulation": False, **fields})
    if key:
        set_keys(account, key, secret)
    account.save()
    return account


def set_keys(account: Account, key: str, secret: str) -> None:
    account.api_key = seal(key, context=f"orders.account:{account.pk}:api_key")
    account.api_secret = seal(secret, context=f"orders.account:{account.pk}:api_secret")
    account.keys_set_at = timezone.now()


def order_of(**fields: Any) -> BrokerOrder:
    """A market order to buy a hundredth of a bitcoin, except for *fields*; a limit order with a price."""
    given: dict[str, Any] = {
        "client_order_id": str(uuid7()),
        "symbol": SYMBOL,
        "side": Side.BUY,
        "kind": Kind.LIMIT if fields.get("price") is not None else Kind.MARKET,
        "quantity": Decimal("0.01"),
    }
    return BrokerOrder(**given | fields)


@dataclass(kw_only=True)
class Desk:
    """One account at one broker, in a market where bitcoin is bought with dollars."""

    name: str
    account: Account
    broker: Broker
    #: What a buyer's limit is at that does not fill, and one that fills at once.
    low: Decimal
    high: Decimal
    #: The decimals of prices and of quantities.
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.00001")


@dataclass(kw_only=True)
class VenueDesk(Desk):
    """One at the simulated exchange."""

    exchange: ExchangeAt
    trader: Trader

    def disturb(self, **rule: Any) -> None:
        """Let the next request for an order go wrong; a new order's unless a method is given."""
        self.exchange.order({"path": ORDER, "method": "POST", **rule})

    def rested(self) -> None:
        """Nobody wants to be left alone any more."""
        RestingExchange.objects.all().delete()

    def in_books(self) -> list[Any]:
        """The account's orders, as the exchange itself has them."""
        return list(self.trader.books()["orders"])


@dataclass(kw_only=True)
class PaperDesk(Desk):
    """One on paper, whose time stands still in the middle of the minutes that are stored."""

    instrument: Instrument
    minutes: Arrays
    clock: Clock


@dataclass
class Clock:
    #: Thirty seconds into the eleventh minute.
    now: datetime = field(default_factory=lambda: to_datetime(MONDAY) + timedelta(minutes=10, seconds=30))

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def venue() -> Iterator[ExchangeAt]:
    """A simulated exchange in a thread, by the real time."""
    with serving(Exchange(seed=7)) as url:
        yield ExchangeAt(url=url)
    forget_clients()


def reachable(exchange: ExchangeAt, patch: pytest.MonkeyPatch, settings: Any, *names: str) -> None:
    """Let clients be made for an exchange that is patient."""
    settings.EXCHANGE_URLS = dict.fromkeys(names or ("binance",), exchange.url)
    for dialect in (Dialect, Binance):
        patch.setattr(dialect, "pace", 0.0)


def venue_desk(exchange: ExchangeAt) -> VenueDesk:
    """A new account at the exchange, which is reachable."""
    exchange.calm()
    trader = Trader.opened(exchange, USDT="100000", BTC="2")
    account = account_of(key=trader.key, secret=trader.secret)
    price = Decimal(exchange.get("/api/v3/ticker/price", symbol="BTCUSDT")["price"])
    return VenueDesk(
        name="exchange",
        account=account,
        broker=broker_for(account, simulation=False),
        exchange=exchange,
        trader=trader,
        low=(price * Decimal("0.8")).quantize(Decimal("0.01")),
        high=(price * Decimal("1.1")).quantize(Decimal("0.01")),
    )


def paper_desk(minutes: Arrays | None = None) -> PaperDesk:
    """A new account on paper, with an hour of minutes unless others are given."""
    market = instrument(SYMBOL)
    stored = walk(60) if minutes is None else minutes
    write_candles(instrument=market, minutes=stored)
    account = account_of(simulation=True)
    clock = Clock()
    return PaperDesk(
        name="paper",
        account=account,
        broker=PaperBroker(account, clock=clock),
        instrument=market,
        minutes=stored,
        clock=clock,
        low=Decimal("10000"),
        high=Decimal("30000"),
    )
