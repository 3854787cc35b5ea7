"""The trading clients of this process: one for each account, all of an exchange with one list of markets."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, localcontext
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from apps.candles.conf import exchange_urls
from apps.candles.venues.catalogue import find_venue
from apps.candles.venues.client import venue_client
from apps.candles.venues.errors import VenueError
from apps.candles.venues.instruments import load_markets
from apps.core.crypto import SealBroken, unseal
from apps.orders.brokers import conf
from apps.orders.brokers.base import Refused
from apps.orders.brokers.dialects import DIALECTS

if TYPE_CHECKING:
    # Takes long to import: only processes that trade do.
    import ccxt

    from apps.orders.models import Account

#: Clients that are kept, those used last.
_MOST = 32
#: Seconds after which a list of markets is replaced.
_LIFETIME = 86_400.0
#: Seconds after which a list that lacks a symbol, or could not be replaced, is tried to be replaced.
_PATIENCE = 60.0

#: ccxt computes in the context that it finds, and changes it: this is wide enough for every amount.
_ARITHMETIC = Context(prec=80)


class KeysUnreadable(Exception):
    """The keys of an account cannot be opened here: those who run this have to see to that."""


@dataclass(kw_only=True)
class _Kept:
    """One account's client, used by one thread at a time."""

    #: What it was made of: it is replaced when any of that changes.
    made_of: tuple[str, str | None, datetime | None, float]
    client: ccxt.Exchange
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(kw_only=True)
class _Markets:
    """A client without keys that holds the list of markets of an exchange."""

    client: ccxt.Exchange
    loaded_at: float
    tried_at: float

    def is_due(self, symbol: str) -> bool:
        now = time.monotonic()
        lacks = bool(symbol) and symbol not in self.client.markets
        due = lacks or now - self.loaded_at > _LIFETIME
        return due and now - self.tried_at > _PATIENCE


class _Clients:
    """What this process keeps. A forked child begins with nothing, since connections cannot be shared."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: OrderedDict[UUID, _Kept] = OrderedDict()
        self.markets_lock = threading.Lock()
        self.markets: dict[tuple[str, str | None], _Markets] = {}


_clients = _Clients()


def forget_clients() -> None:
    """Make every client anew, with its list of markets, when it is needed next."""
    global _clients
    _clients = _Clients()


os.register_at_fork(after_in_child=forget_clients)


@contextmanager
def trading_client(account: Account, *, symbol: str = "") -> Iterator[ccxt.Exchange]:
    """The client of *account* at its exchange, with the list of markets, to be used within the block.

    No other thread uses it meanwhile. Raises `Refused` for an account without keys, `KeysUnreadable`, and
    `VenueError` where the list of markets cannot be had.
    """
    kept = _kept(account)
    with kept.lock, localcontext(_ARITHMETIC):
        client = kept.client
        source = _markets(account.exchange, symbol)
        if client.markets is not source.markets:
            client.set_markets_from_exchange(source)
        yield client


def _kept(account: Account) -> _Kept:
    url = exchange_urls().get(account.exchange)
    made_of = account.exchange, url, account.keys_set_at, conf.timeout()
    clients = _clients
    with clients.lock:
        kept = clients.kept.get(account.pk)
        if kept is None or kept.made_of != made_of:
            kept = clients.kept[account.pk] = _Kept(made_of=made_of, client=_make(account))
        clients.kept.move_to_end(account.pk)
        while len(clients.kept) > _MOST:
            clients.kept.popitem(last=False)
    return kept


def _make(account: Account) -> Any:
    if not account.api_key or not account.api_secret:
        raise Refused(f"the account {account.name!r} has no keys for {account.exchange}", code="NO_KEYS")
    try:
        key = unseal(account.api_key, context=f"orders.account:{account.pk}:api_key")
        secret = unseal(account.api_secret, context=f"orders.account:{account.pk}:api_secret")
    except (SealBroken, ImproperlyConfigured) as error:
        raise KeysUnreadable(str(error)) from error
    if not (key + secret).isascii():
        # Found by ccxt only when it sends a request, which then might be taken for one that was sent.
        raise Refused(
            f"a request with the keys of {account.name!r} cannot be made: not ASCII", code="NOT_SENT"
        )
    dialect = DIALECTS[account.exchange]
    client: Any = venue_client(account.exchange, base_urls=exchange_urls(), timeout=conf.timeout())
    client.apiKey, client.secret = key, secret
    # What became of a request is for others to find out: it is never sent a second time.
    client.options = {**client.options, **dialect.options, "maxRetriesOnFailure": 0}
    # And not to any other address: the answer to what was carried out must not be lost on the way.
    client.session.max_redirects = 0
    if dialect.pace is not None:
        client.rateLimit = dialect.pace
    return client


def _markets(exchange: str, symbol: str) -> Any:
    """A client that has the list of markets: an old one rather than none."""
    url = exchange_urls().get(exchange)
    clients = _clients
    with clients.markets_lock:
        known = clients.markets.get((exchange, url))
        if known is not None and not known.is_due(symbol):
            return known.client
        client = venue_client(exchange, base_urls=exchange_urls(), timeout=conf.timeout())
        now = time.monotonic()
        try:
            load_markets(client, find_venue(exchange))
        except VenueError:
            if known is None:
                raise
            known.tried_at = now
            return known.client
        clients.markets[exchange, url] = _Markets(client=client, loaded_at=now, tried_at=now)
        return client
