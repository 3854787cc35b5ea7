"""The simulated exchanges as a process; what it runs is `apps.stack.exchange`."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from apps.stack import environment
from apps.stack.child import Service
from apps.stack.folders import CHECKOUT
from apps.stack.probes import answers_http
from apps.stack.sockets import HOST, port_of

#: What names the address of each exchange.
VARIABLES = ("EXCHANGE_BINANCE_URL", "EXCHANGE_BYBIT_URL", "EXCHANGE_KRAKEN_URL")

_BALANCES = {"USDT": "1000000"}


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who trades on the simulated Binance: the API key and its secret."""

    key: str
    secret: str

    @classmethod
    def derived(cls, secret: str) -> Account:
        """The account that belongs to *secret*, which neither of its own gives away."""
        key, own = (
            hashlib.sha256(f"exchange {part}:{secret}".encode()).hexdigest() for part in ("key", "secret")
        )
        return cls(key=key, secret=own)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Binance, Bybit and Kraken, simulated on an inherited *listener*.

    Binance replays *candles* when that is given. It keeps accounts and orders in the file *books*, in memory
    without, and opens *account*, with some money, where it does not exist.
    """

    listener: socket.socket
    candles: Path | None = None
    books: Path | None = None
    account: Account | None = None

    def url(self) -> str:
        """Its base URL."""
        return f"http://{HOST}:{port_of(self.listener)}"

    def environ(self) -> dict[str, str]:
        """What the product needs to reach it."""
        return dict.fromkeys(VARIABLES, self.url())

    def service(self) -> Service:
        """The exchange as a process."""
        fd = self.listener.fileno()
        replay = ("--candles", str(self.candles.resolve())) if self.candles else ()
        books = ("--books", str(self.books.resolve())) if self.books else ()
        accounts = (
            [{"key": self.account.key, "secret": self.account.secret, "balances": _BALANCES}]
            if self.account
            else []
        )
        return Service(
            name="exchange",
            argv=(sys.executable, "-m", "apps.stack.exchange", "--fd", str(fd), *replay, *books),
            environ=environment.inherited(EXCHANGE_ACCOUNTS=json.dumps(accounts)),
            folder=CHECKOUT,
            ready=answers_http(f"{self.url()}/api/v3/ping"),
            stop_timeout=5.0,
            inherit=(fd,),
        )
