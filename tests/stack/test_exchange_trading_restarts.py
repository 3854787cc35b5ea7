"""The books of the simulated exchange and the death of its process."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from apps.stack.testing import SimulatedExchange
from tests.stack.exchange_process import ROOT, ExchangeAt, command, running_exchange
from tests.stack.exchanges import Trader


def test_everything_is_there_after_a_kill(tmp_path: Path) -> None:
    with SimulatedExchange(tmp_path / "exchange") as server:
        exchange = ExchangeAt(url=server.url)
        trader = Trader.opened(exchange, USDT="100000")
        trader.place(quantity="0.01", newClientOrderId="bought")
        rested = trader.place(type="LIMIT", price="20000", quantity="0.01")["orderId"]
        exchange.order({"path": "/api/v3/order", "kind": "partial", "share": 0.5, "reads": 2})
        half = trader.place(quantity="0.01")["orderId"]
        assert trader.order(half)["status"] == "PARTIALLY_FILLED"
        exchange.order({"path": "/api/v3/order", "method": "POST", "kind": "lost"})
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            trader.place(quantity="0.01", newClientOrderId="lost")
        server.kill()
        server.start()
        books = exchange.get("/_sim/books")
        assert [order["clientOrderId"] for order in books[0]["orders"]][::3] == ["bought", "lost"]
        server.stop()
        server.start()
        assert exchange.get("/_sim/books") == books
        assert trader.ask("GET", "order", symbol="BTCUSDT", origClientOrderId="lost")["status"] == "FILLED"
        assert trader.order(rested)["status"] == "NEW"
        # The reads go on to be counted.
        assert [trader.order(half)["status"] for _ in range(2)] == ["PARTIALLY_FILLED", "FILLED"]
        assert trader.place(quantity="0.01")["orderId"] == 5
        assert trader.balance("USDT")[0] + 200 == trader.has("USDT")


def test_an_order_that_was_answered_is_in_the_books_whenever_the_process_dies(tmp_path: Path) -> None:
    answered: list[str] = []
    with SimulatedExchange(tmp_path / "exchange") as server:
        exchange = ExchangeAt(url=server.url)
        trader = Trader.opened(exchange, USDT="1000000")
        enough = threading.Event()

        def trade(number: int) -> None:
            for count in range(1000):
                name = f"order-{number}-{count}"
                try:
                    trader.place(quantity="0.001", newClientOrderId=name)
                except (OSError, http.client.HTTPException):
                    return
                answered.append(name)
                if len(answered) >= 60:
                    enough.set()

        trading = [threading.Thread(target=trade, args=(number,)) for number in range(4)]
        for thread in trading:
            thread.start()
        assert enough.wait(60)
        server.kill(refuse=True)
        for thread in trading:
            thread.join(60)
        server.start()
        orders = trader.books()["orders"]
        names = [order["clientOrderId"] for order in orders]
        assert len(set(names)) == len(names)
        assert set(answered) <= set(names)
        # One more for each sender at most: what it did not hear of.
        assert len(names) <= len(answered) + len(trading)
        assert {order["status"] for order in orders} == {"FILLED"}
        assert trader.balance("USDT") == (trader.has("USDT"), 0)
        assert trader.balance("BTC") == (trader.has("BTC"), 0)


def refused(*arguments: str) -> str:
    """What the exchange says when it ends at start with status 2."""
    ended = subprocess.run(
        command("--port", "0", *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_books_that_cannot_be_kept_are_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no database at all" * 100)
    for path in (garbage, tmp_path / "none" / "books", tmp_path):
        message = refused("--books", str(path))
        assert "books cannot be kept there" in message
        assert str(path) in message


def test_one_process_at_a_time_has_the_books(tmp_path: Path) -> None:
    path = tmp_path / "books"
    with running_exchange("--books", str(path)) as exchange:
        assert "locked" in refused("--books", str(path))
        trader = Trader.opened(exchange, USDT="5")
        exchange.process.send_signal(signal.SIGTERM)
        assert exchange.process.wait(timeout=20) == 0
    with running_exchange("--books", str(path)) as again:
        (account,) = again.get("/_sim/books")
        assert account["key"] == trader.key


def test_accounts_can_be_given_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"key": "key-of-the-start", "secret": "s", "balances": {"USDT": "10"}}
    monkeypatch.setenv("EXCHANGE_ACCOUNTS", json.dumps([entry]))
    path = str(tmp_path / "books")
    with running_exchange("--books", path) as exchange:
        trader = Trader(exchange=exchange, key="key-of-the-start", secret="s")
        assert trader.balance("USDT") == (10, 0)
        trader.place(type="LIMIT", symbol="ETHUSDT", price="1000", quantity="0.006")
    with running_exchange("--books", path) as again:
        assert replace(trader, exchange=again).balance("USDT") == (4, 6)
    monkeypatch.setenv("EXCHANGE_ACCOUNTS", json.dumps([entry | {"secret": "t"}]))
    assert "exists with another secret" in refused("--books", path)
