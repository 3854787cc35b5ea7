"""``python -m apps.stack.exchange``: run the simulated exchange until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from apps.stack.exchange.accounts import BadAccount, open_accounts, parse_accounts
from apps.stack.exchange.api import Exchange
from apps.stack.exchange.books import Books
from apps.stack.exchange.errors import BadFile
from apps.stack.exchange.intervals import MINUTE_MS
from apps.stack.exchange.replay import Replay, load
from apps.stack.exchange.server import ExchangeServer

ACCOUNTS = "EXCHANGE_ACCOUNTS"
"""The variable with accounts to open, as ``POST /_sim/accounts`` takes them: arguments are no secrets."""


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m apps.stack.exchange", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--port", type=int, help="listen on this port of the loopback address; 0 takes a free one"
    )
    where.add_argument("--fd", type=int, help="serve on this inherited listening socket")
    parser.add_argument("--candles", type=Path, metavar="FILE.csv.gz", help="replay these minutes")
    parser.add_argument("--symbol", help="the symbol of the file; otherwise its name tells, or BTCUSDT")
    parser.add_argument(
        "--books", type=Path, metavar="FILE", help="keep accounts and orders here; otherwise in memory"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other synthetic prices")
    parsed = parser.parse_args(arguments)
    if parsed.symbol is not None and parsed.candles is None:
        parser.error("--symbol goes with --candles")
    if parsed.port is not None and not 0 <= parsed.port <= 65535:
        parser.error(f"--port must be from 0 to 65535, not {parsed.port}")
    return parsed


def _listener(port: int | None, descriptor: int | None) -> socket.socket:
    if descriptor is not None:
        listener = socket.socket(fileno=descriptor)
        listener.listen(128)
        return listener
    return socket.create_server(("127.0.0.1", port or 0), backlog=128)


def _day(minute: int) -> str:
    return datetime.fromtimestamp(minute * MINUTE_MS / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def _summary(server: ExchangeServer, replay: Replay | None) -> str:
    exchanges = ", ".join(server.exchange.faces)
    text = f"exchange on {server.url}: {exchanges}, synthetic with seed {server.exchange.seed}"
    if replay is not None:
        bars = replay.bars
        text += (
            f"; {replay.market.symbol} of binance replays {len(bars)} minutes of {replay.path.name}"
            f" from {_day(int(bars.minute[0]))} to {_day(int(bars.minute[-1]))}"
        )
    return text


def main(arguments: Sequence[str]) -> int:
    options = _arguments(arguments)
    try:
        replay = load(options.candles, options.symbol) if options.candles is not None else None
        books = Books(options.books)
        open_accounts(books, parse_accounts(os.environ.get(ACCOUNTS, "[]")))
    except (BadFile, BadAccount) as error:
        sys.stderr.write(f"exchange: {error}\n")
        return 2
    try:
        listener = _listener(options.port, options.fd)
    except OSError as error:
        sys.stderr.write(f"exchange: cannot listen: {error}\n")
        return 2
    server = ExchangeServer(listener, Exchange(seed=options.seed, replay=replay, books=books))

    def stop(*_: object) -> None:
        server.stopping.set()
        # shutdown() waits for serve_forever(), which this very thread is in.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.stdout.write(_summary(server, replay) + "\n")
    sys.stdout.flush()
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    books.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
