from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from urllib.request import Request, urlopen

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client

from apps.candles.clients import forget_clients
from apps.candles.storage import stores
from apps.candles.storage.stores import Base
from apps.candles.venues import VENUES
from apps.stack.exchange.api import Exchange
from apps.stack.exchange.server import ExchangeServer
from tests.candles.venuefaces import client_of
from tests.stack.exchange_process import RunningExchange, running_exchange
from tests.support import filled


@pytest.fixture
def shared_candles(committed: None) -> Iterator[None]:
    """Tests whose candles other connections see. Django does not empty tables that it does not manage."""
    yield
    if filled("candle_1m", "candle_1d", "candle_dirty"):
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE candle_1m")


@pytest.fixture(scope="module")
def for_all(
    django_db_setup: None, django_db_blocker: Any
) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Within a block of it, what all tests of a file find is stored, in a transaction around them.

    Each of them may change it: the next finds it as it was. The tests are those of `db` alone.
    """
    around = transaction.atomic()
    with django_db_blocker.unblock():
        around.__enter__()
    yield django_db_blocker.unblock
    with django_db_blocker.unblock():
        transaction.set_rollback(True)
        around.__exit__(None, None, None)


@pytest.fixture
def staff(client: Client) -> Client:
    """A client that is signed in as an operator."""
    client.force_login(get_user_model().objects.create_user("operator", is_staff=True))
    return client


@pytest.fixture
def of_partitions(db: None) -> None:
    """Tests of what is otherwise on TimescaleDB, and tested there by test_policies.py."""
    if stores.in_force().base != Base.PARTITIONS:
        pytest.skip("of monthly partitions only")


class SimulatedExchange:
    """The simulated exchanges of one test, asked and disturbed over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def disturb(self, *rules: dict[str, Any]) -> None:
        """Order faults; see `apps.stack.exchange.faults`."""
        self._ask("/_sim/faults", json.dumps(rules).encode())

    def interrupt(self, *outages: dict[str, Any]) -> None:
        """Order outages; see `apps.stack.exchange.outages`."""
        self._ask("/_sim/outages", json.dumps(outages).encode())

    def recover(self) -> None:
        """End all outages, and have what was missing because of them."""
        self._ask("/_sim/outages", method="DELETE")

    def disturbances(self) -> list[dict[str, Any]]:
        """The faults that were ordered and have not happened yet."""
        rules: list[dict[str, Any]] = self._ask("/_sim/faults")
        return rules

    def klines(self, symbol: str, start: datetime, end: datetime) -> list[list[Any]]:
        """What it has, up to 1000 rows, as it sends them."""
        first, last = (int(moment.timestamp() * 1000) for moment in (start, end))
        query = f"symbol={symbol}&interval=1m&startTime={first}&endTime={last - 1}&limit=1000"
        rows: list[list[Any]] = self._ask(f"/api/v3/klines?{query}")
        return rows

    def requests(self, path: str) -> int:
        """How many requests this path had."""
        count: int = self._ask("/_sim/stats")["paths"].get(path, {"requests": 0})["requests"]
        return count

    def answer(self, path: str) -> Any:
        """What it answers to a request."""
        return self._ask(path)

    def _ask(self, path: str, body: bytes | None = None, method: str | None = None) -> Any:
        with urlopen(Request(self.url + path, data=body, method=method), timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def simulation() -> Iterator[RunningExchange]:
    """Simulated exchanges as a process of its own, for one module."""
    with running_exchange("--seed", "7") as running:
        yield running


@pytest.fixture
def simulated(simulation: RunningExchange) -> Iterator[RunningExchange]:
    """The same, with no faults, no outages and nothing used of any limit, before and after a test."""
    simulation.calm()
    yield simulation
    simulation.calm()


@pytest.fixture(scope="module")
def clients(simulation: RunningExchange) -> dict[str, Any]:
    """One client of each exchange, with its markets."""
    made = {name: client_of(name, simulation) for name in VENUES}
    for client in made.values():
        client.load_markets()
    return made


@pytest.fixture
def exchange(settings: Any) -> Iterator[SimulatedExchange]:
    """Simulated exchanges of the test's own, which the product's clients are pointed at."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = ExchangeServer(listener, Exchange())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    settings.EXCHANGE_URLS = dict.fromkeys(("binance", "bybit", "kraken"), server.url)
    yield SimulatedExchange(server.url)
    forget_clients()
    server.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join(10)
