"""Simulated exchanges for the tests of a module, and who trades on them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from apps.stack.exchange.api import Exchange
from apps.stack.exchange.server import ExchangeServer
from tests.stack.exchange_process import ExchangeAt, Reply, RunningExchange, running_exchange


@pytest.fixture(scope="module")
def running() -> Iterator[RunningExchange]:
    with running_exchange("--seed", "7") as exchange:
        yield exchange


@pytest.fixture
def exchange(running: RunningExchange) -> Iterator[RunningExchange]:
    """An exchange without disturbances at the start of each test."""
    running.calm()
    yield running
    running.calm()


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now_ms: int = 1_700_000_040_000  # 2023-11-14T22:14Z, on a minute

    def __call__(self) -> float:
        return self.now_ms / 1000


def real_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True, kw_only=True)
class LocalExchange(ExchangeAt):
    """A simulated exchange in a thread of the test's own process, with prices as of its *clock*."""

    clock: Clock

    def trader(self, **balances: str) -> Trader:
        """A new account with *balances*, by the clock of the exchange."""
        return Trader.opened(self, clock=self.clock, **balances)

    def price(self, symbol: str = "BTCUSDT") -> Decimal:
        return Decimal(self.get("/api/v3/ticker/price", symbol=symbol)["price"])


@contextmanager
def serving(exchange: Exchange) -> Iterator[str]:
    """*exchange* on a free port, in a thread, until the block ends; its URL."""
    server = ExchangeServer(socket.create_server(("127.0.0.1", 0), backlog=128), exchange)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.url
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def local_exchange(*, seed: int = 7) -> Iterator[LocalExchange]:
    clock = Clock()
    with serving(Exchange(seed=seed, clock=clock)) as url:
        yield LocalExchange(url=url, clock=clock)


@pytest.fixture(scope="module")
def standing() -> Iterator[LocalExchange]:
    with local_exchange() as exchange:
        yield exchange


@pytest.fixture
def local(standing: LocalExchange) -> LocalExchange:
    """An exchange whose time stands still, without disturbances and accounts at the start of each test."""
    # Orders do not count that were placed up to the moment of calming.
    standing.clock.now_ms = Clock.now_ms - 1
    standing.calm()
    assert standing.request("DELETE", "/_sim/books").status == 200
    standing.clock.now_ms = Clock.now_ms
    return standing


@dataclass(frozen=True, kw_only=True)
class Trader:
    """An account on an exchange, which signs its requests. Without a clock it goes by the real time."""

    exchange: ExchangeAt
    key: str
    secret: str
    clock: Clock | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def opened(cls, exchange: ExchangeAt, *, clock: Clock | None = None, **balances: str) -> Trader:
        """A new account with *balances*."""
        trader = cls(exchange=exchange, key=secrets.token_hex(16), secret=secrets.token_hex(16), clock=clock)
        entry = {"key": trader.key, "secret": trader.secret, "balances": balances}
        reply = exchange.request("POST", "/_sim/accounts", body=[entry])
        assert reply.status == 200, reply.body
        return trader

    def now_ms(self) -> int:
        return real_ms() if self.clock is None else self.clock.now_ms

    def sign(self, payload: str) -> str:
        return hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def raw(
        self, method: str, path: str, query: str = "", body: str = "", *, key: str | None = None
    ) -> Reply:
        """A request as it stands; an empty *key* is none."""
        connection = http.client.HTTPConnection(urlsplit(self.exchange.url).netloc, timeout=30)
        key = self.key if key is None else key
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        try:
            connection.request(
                method,
                f"{path}?{query}" if query else path,
                body or None,
                headers | ({"X-MBX-APIKEY": key} if key else {}),
            )
            answer = connection.getresponse()
            return Reply(status=answer.status, headers=dict(answer.headers.items()), body=answer.read())
        finally:
            connection.close()

    def send(self, method: str, path: str, **parameters: Any) -> Reply:
        """A signed request for ``/api/v3/`` and *path*; a POST has its parameters in its body."""
        given = {name: value for name, value in parameters.items() if value is not None}
        payload = urlencode({**given, "timestamp": self.now_ms()} | given)
        signed = f"{payload}&signature={self.sign(payload)}"
        where = {"body": signed} if method == "POST" else {"query": signed}
        return self.raw(method, f"/api/v3/{path}", **where)

    def ask(self, method: str, path: str, **parameters: Any) -> Any:
        """The JSON of an answer that must be a success."""
        reply = self.send(method, path, **parameters)
        assert reply.status == 200, reply.body
        return reply.json

    def refused(self, method: str, path: str, **parameters: Any) -> tuple[int, str]:
        """Code and message of a refusal."""
        reply = self.send(method, path, **parameters)
        assert reply.status >= 400, reply.body
        return reply.json["code"], reply.json["msg"]

    def place(self, **parameters: Any) -> Any:
        """A new order: a market order to buy bitcoin, except for *parameters*."""
        kind = parameters.get("type", "MARKET")
        usual = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
        if kind == "LIMIT":
            usual["timeInForce"] = "GTC"
        return self.ask("POST", "order", **usual | parameters)

    def order(self, order_id: int, symbol: str = "BTCUSDT") -> Any:
        return self.ask("GET", "order", symbol=symbol, orderId=order_id)

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        """How much is free and how much locked."""
        for balance in self.ask("GET", "account")["balances"]:
            if balance["asset"] == asset:
                return Decimal(balance["free"]), Decimal(balance["locked"])
        raise LookupError(asset)

    def books(self) -> Any:
        """What the exchange has in its books for this account."""
        return next(entry for entry in self.exchange.get("/_sim/books") if entry["key"] == self.key)

    def has(self, asset: str) -> Decimal:
        """How much of *asset* there must be, by the initial balances and the trades in the books."""
        books = self.books()
        total = Decimal(books["balances"].get(asset, {"initial": "0"})["initial"])
        for trade in books["trades"]:
            base, quote = trade["symbol"][:-4], trade["symbol"][-4:]
            sign = 1 if trade["isBuyer"] else -1
            total += sign * Decimal(trade["qty"]) if asset == base else 0
            total -= sign * Decimal(trade["quoteQty"]) if asset == quote else 0
            total -= Decimal(trade["commission"]) if asset == trade["commissionAsset"] else 0
        return total


def limit(price: Decimal | str, quantity: str = "0.01", **more: Any) -> dict[str, Any]:
    """What `Trader.place` takes for a limit order."""
    return {"type": "LIMIT", "price": str(price), "quantity": quantity, **more}
