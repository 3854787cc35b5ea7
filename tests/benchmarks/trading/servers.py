"""The product's web server and one without the product, and senders of signals with their connections."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth import get_user_model

from apps.candles.models import Instrument
from apps.orders.accounts import account_create
from apps.stack.processes import Web
from apps.webhooks.services import endpoint_create
from tests.benchmarks import database
from tests.benchmarks.experiment import Bench, Failed

#: As many accounts with an endpoint each, and senders at once.
SENDERS = 16
_NAME = "trading"
_BARE = ("tests.benchmarks.trading.bare_settings", "tests.benchmarks.candles.bare_settings")
_number = itertools.count()


@dataclass(frozen=True, kw_only=True)
class _Address:
    path: str
    secret: str


class Sender:
    """One connection to one server, which takes what it is sent at *address* with 202."""

    def __init__(self, url: str, address: _Address) -> None:
        self._netloc, self._address = urlsplit(url).netloc, address
        self._connection = http.client.HTTPConnection(self._netloc, timeout=60)

    def send(self) -> float:
        """Send another signal. Milliseconds until its answer was there."""
        signal = {
            "signal": "buy",
            "symbol": "BTC/USDT",
            "quantity": "0.25",
            "timestamp": datetime.now(UTC).isoformat(),
            "secret": self._address.secret,
            "comment": f"signal {next(_number)}",
        }
        body = json.dumps(signal).encode()
        began = time.perf_counter()
        self._connection.request("POST", self._address.path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        said = answer.read()
        took = 1000 * (time.perf_counter() - began)
        if answer.status != 202:
            raise Failed(f"a signal was answered with {answer.status}: {said[:300].decode(errors='replace')}")
        return took

    def renew(self) -> None:
        """Make the connection anew, which the server ends when nothing comes for a while."""
        self._connection.close()
        self._connection.connect()


class Servers:
    """The servers on one database, each a process of gunicorn. Nobody acts on what they take."""

    def __init__(self, bench: Bench) -> None:
        database.drop(_NAME)
        database.copy(_NAME)
        with database.using(_NAME):
            _instrument()
            addresses = [_endpoint(number) for number in range(SENDERS)]
        parts = urlsplit(bench.environ["DATABASE_URL"])
        environ = dict(bench.environ) | {
            "DATABASE_URL": urlunsplit(parts._replace(path=f"/{_NAME}")),
            "ORDERS_PLANS": json.dumps({"basic": {"simulation_only": True, "daily_orders": 10**9}}),
        }
        self._servers = [Web(environ, folder=bench.folder / "web")]
        for number, module in enumerate(_BARE):
            bare = environ | {"DJANGO_SETTINGS_MODULE": module}
            self._servers.append(Web(bare, folder=bench.folder / f"bare-{number}"))
        note = [_Address(path="/signals", secret="x" * 43)] * SENDERS
        self._addresses = [addresses, note, note]

    def __enter__(self) -> Self:
        try:
            for server in self._servers:
                server.start()
        except BaseException:
            self.__exit__()
            raise
        #: Of each server: the product's, one with its settings and middleware, one without middleware.
        self.ours, self.same, self.bare = (
            [Sender(server.url, address) for address in addresses]
            for server, addresses in zip(self._servers, self._addresses, strict=True)
        )
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            if server.launched:
                server.kill()
            server.close()


def _instrument() -> None:
    Instrument.objects.create(
        exchange="binance",
        symbol="BTC/USDT",
        venue_id="BTCUSDT",
        base="BTC",
        quote="USDT",
        price_scale=2,
        volume_scale=5,
    )


def _endpoint(number: int) -> _Address:
    user = get_user_model().objects.create_user(f"user{number}", f"user{number}@example.com")
    account = account_create(user=user, name="main", exchange="binance", by="bench")
    issued = endpoint_create(account=account, name="signals", by="bench")
    return _Address(path=f"/webhooks/tradingview/{issued.token}", secret=issued.secret)
