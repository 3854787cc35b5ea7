"""The trading clients of a process: what they share, what they do not, and when they are made anew."""

from __future__ import annotations

import decimal
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

import apps.orders.brokers
from apps.orders.accounts import InvalidAccount, account_set_keys
from apps.orders.brokers import NotTaken, Refused, Unavailable, broker_for, clients
from apps.orders.brokers.clients import forget_clients, trading_client
from apps.orders.brokers.registry import offers
from apps.orders.models import Account
from tests.orders.brokers.desks import ORDER, account_of, order_of, reachable, venue, venue_desk
from tests.stack.exchange_process import ExchangeAt

pytestmark = pytest.mark.django_db

LISTING = "/api/v3/exchangeInfo"


@pytest.fixture(scope="module")
def running() -> Iterator[ExchangeAt]:
    with venue() as exchange:
        yield exchange


@pytest.fixture
def exchange(running: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[ExchangeAt]:
    running.calm()
    reachable(running, monkeypatch, settings)
    forget_clients()
    yield running
    forget_clients()


def account() -> Account:
    return account_of(key="key", secret="secret")


def test_accounts_share_the_list_of_markets_and_nothing_else(exchange: ExchangeAt) -> None:
    asked = exchange.count(LISTING)
    one, other = account(), account()
    with trading_client(one) as mine, trading_client(other) as others:
        assert mine is not others
        assert mine.session is not others.session
        assert mine.markets is others.markets
    with trading_client(one) as again:
        assert again is mine
    # Not that of the database's row: who reads it anew has the client still.
    with trading_client(Account.objects.get(pk=one.pk)) as again:
        assert again is mine
    assert exchange.count(LISTING) == asked + 1


def test_keys_that_no_request_can_carry_are_not_taken() -> None:
    one = account_of()
    good = {"api_key": "public-key", "api_secret": "secret-key="}
    for field in good:
        for odd in (
            "k\N{EURO SIGN}y-of-eight",
            "k\N{LATIN SMALL LETTER E WITH ACUTE}y-of-eight",
            "key of eight",
        ):
            with pytest.raises(InvalidAccount) as raised:
                account_set_keys(account=one, **{**good, field: odd}, by="user:1")
            assert raised.value.field == field
    assert not Account.objects.get(pk=one.pk).api_key
    account_set_keys(account=one, **good, by="user:1")
    assert Account.objects.get(pk=one.pk).api_key


def test_a_client_is_used_by_one_thread_at_a_time(exchange: ExchangeAt) -> None:
    one, other = account(), account()
    free, was_free = threading.Event(), []

    def use(whose: Account) -> None:
        with trading_client(whose):
            was_free.append(free.is_set())

    with ThreadPoolExecutor(2) as pool:
        with trading_client(one):
            waiting = pool.submit(use, one)
            # Another account's is free meanwhile.
            pool.submit(use, other).result(timeout=60)
            free.set()
        waiting.result(timeout=60)
    assert was_free == [False, True]


def test_only_so_many_clients_are_kept(exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_MOST", 2)
    accounts = [account() for _ in range(3)]
    made = []
    for one in (*accounts, accounts[1]):
        with trading_client(one) as client:
            made.append(client)
    assert made[3] is made[1]
    with trading_client(accounts[0]) as client:
        assert client is not made[0]


def test_a_forked_process_begins_with_nothing(exchange: ExchangeAt) -> None:
    one = account()
    with trading_client(one), warnings.catch_warnings():
        # That there are threads here does not matter to a child that only looks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            free = not clients._clients.lock.locked() and not clients._clients.markets_lock.locked()
            os._exit(0 if free and not clients._clients.kept and not clients._clients.markets else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert one.pk in clients._clients.kept


def test_a_list_of_markets_is_replaced_when_it_is_old_or_lacks_a_symbol(
    exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = account()
    with trading_client(one) as client:
        first = client.markets
    asked = exchange.count(LISTING)
    # One that was listed since, perhaps; but not with every order.
    broker = broker_for(one, simulation=False)
    for _ in range(2):
        with pytest.raises(Refused):
            broker.lot("NO/SUCH")
    assert exchange.count(LISTING) == asked
    monkeypatch.setattr(clients, "_PATIENCE", 0.0)
    with pytest.raises(Refused):
        broker.lot("NO/SUCH")
    assert exchange.count(LISTING) == asked + 1
    with trading_client(one, symbol="BTC/USDT") as client:
        second = client.markets
        assert second is not first
    monkeypatch.setattr(clients, "_LIFETIME", 0.0)
    with trading_client(one) as client:
        assert client.markets is not second
    assert exchange.count(LISTING) == asked + 2


def test_an_old_list_of_markets_is_better_than_none(
    exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = account()
    broker = broker_for(one, simulation=False)
    exchange.order({"path": LISTING, "kind": "status", "status": 500, "times": 3})
    with pytest.raises(Unavailable):
        broker.lot("BTC/USDT")
    with pytest.raises(NotTaken):
        broker.submit(order_of())
    exchange.calm()
    assert broker.lot("BTC/USDT") == Decimal("0.00001")
    monkeypatch.setattr(clients, "_LIFETIME", 0.0)
    monkeypatch.setattr(clients, "_PATIENCE", 0.0)
    for kind in ("html", "garbage", "reset"):
        exchange.order({"path": LISTING, "kind": kind})
        assert broker.lot("BTC/USDT") == Decimal("0.00001")
        assert exchange.get("/_sim/faults") == []


def test_no_request_is_made_twice_whatever_is_answered(exchange: ExchangeAt) -> None:
    broker = broker_for(account(), simulation=False)
    for kind in ("reset", "html", "garbage"):
        for method, path in (("GET", ORDER), ("POST", f"POST {ORDER}")):
            exchange.order({"path": ORDER, "method": method, "kind": kind, "times": None})
            asked = exchange.count(path)
            with pytest.raises((Unavailable, apps.orders.brokers.Unanswered)):
                broker.find(order_of()) if method == "GET" else broker.submit(order_of())
            assert exchange.count(path) == asked + 1
            exchange.calm()


def test_what_ccxt_does_to_the_arithmetic_of_a_thread_stays_with_it(exchange: ExchangeAt) -> None:
    before = decimal.getcontext().copy()
    desk = venue_desk(exchange)
    desk.broker.submit(order_of(price=desk.low))
    after = decimal.getcontext()
    assert (after.prec, after.rounding) == (before.prec, before.rounding)
    assert after.traps == before.traps


def test_a_broker_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "another_broker.py").write_text(
        "from apps.orders.brokers.registry import Offer\n"
        "OFFER = Offer(name='another', exchanges=frozenset({'another'}), open=lambda account: account)\n"
    )
    here = account_of(exchange="another")
    with pytest.raises(Refused) as raised:
        broker_for(here, simulation=False)
    assert raised.value.code == "NO_BROKER"
    monkeypatch.setattr(apps.orders.brokers, "__path__", [*apps.orders.brokers.__path__, str(tmp_path)])
    try:
        offers.cache_clear()
        assert broker_for(here, simulation=False) is here
        assert type(broker_for(here, simulation=True)).__name__ == "PaperBroker"
        (tmp_path / "yet_another.py").write_text(
            "from apps.orders.brokers.registry import Offer\n"
            "OFFER = Offer(name='third', exchanges=frozenset({'kraken'}), open=None)\n"
        )
        offers.cache_clear()
        with pytest.raises(ImproperlyConfigured, match="'ccxt'"):
            offers()
    finally:
        offers.cache_clear()
