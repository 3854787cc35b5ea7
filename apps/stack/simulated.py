"""The simulated exchanges as a process; what it runs is `apps.stack.exchange`."""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Binance, Bybit and Kraken, simulated on an inherited *listener*.

    Binance replays *candles* when that is given.
    """

    listener: socket.socket
    candles: Path | None = None

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
        return Service(
            name="exchange",
            argv=(sys.executable, "-m", "apps.stack.exchange", "--fd", str(fd), *replay),
            environ=environment.inherited(),
            folder=CHECKOUT,
            ready=answers_http(f"{self.url()}/api/v3/ping"),
            stop_timeout=5.0,
            inherit=(fd,),
        )
