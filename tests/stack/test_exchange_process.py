"""Starting and stopping the simulated exchange, and what it refuses to start with."""

from __future__ import annotations

import gzip
import http.client
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apps.stack.simulated import Account, Exchange
from tests.stack.exchange_process import HEADER, ROOT, command, running_exchange, spawn, write_minutes

GOOD = "2023-03-01 00:00:00+00:00,10.5,11,10,10.75,3.25"
NEXT = "2023-03-01 00:01:00+00:00,10.75,11,10,10.75,3.25"


def refused(*arguments: str) -> str:
    """What the exchange says when it ends at start with status 2."""
    ended = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_sigterm_ends_it_with_status_0_although_clients_are_connected() -> None:
    with running_exchange() as exchange:
        connection = http.client.HTTPConnection(urlsplit(exchange.url).netloc, timeout=10)
        connection.request("GET", "/api/v3/ping")
        assert connection.getresponse().read() == b"{}"
        exchange.process.send_signal(signal.SIGTERM)
        assert exchange.process.wait(timeout=10) == 0
        connection.close()


def test_a_request_that_is_being_delayed_does_not_hold_up_the_end() -> None:
    with running_exchange() as exchange:
        exchange.order({"path": "/api/v3/ping", "kind": "delay", "seconds": 600})
        with socket.create_connection(("127.0.0.1", urlsplit(exchange.url).port or 0)) as waiting:
            waiting.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            while exchange.get("/_sim/faults"):
                pass  # until the request has met its fault
            exchange.process.send_signal(signal.SIGTERM)
            assert exchange.process.wait(timeout=10) == 0


def test_it_prints_one_line_and_logs_no_requests() -> None:
    with running_exchange("--seed", "5") as exchange:
        for _ in range(3):
            exchange.klines(limit=1)
        exchange.request("GET", "/nowhere")
        exchange.process.send_signal(signal.SIGTERM)
        rest, errors = exchange.process.communicate(timeout=10)
    assert rest == ""
    assert errors == ""


def test_it_serves_on_an_inherited_listening_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = spawn("--fd", str(listener.fileno()), pass_fds=[listener.fileno()])
        try:
            port = listener.getsockname()[1]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/api/v3/ping")
            assert connection.getresponse().read() == b"{}"
            connection.close()
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=10)
    assert f"http://127.0.0.1:{port}" in said
    assert process.returncode == 0


def test_the_product_is_pointed_at_it_for_every_exchange() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert Exchange(listener=listener).environ() == {
            "EXCHANGE_BINANCE_URL": url,
            "EXCHANGE_BYBIT_URL": url,
            "EXCHANGE_KRAKEN_URL": url,
        }


def test_an_account_is_opened_and_its_secret_told_to_the_exchange_alone() -> None:
    account = Account.derived("a secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        exchange = Exchange(listener=listener, account=account)
        environ = exchange.environ()
        service = exchange.service()
    assert not any(account.secret in value for value in environ.values())
    # Arguments are shown to everyone.
    assert account.secret in service.environ["EXCHANGE_ACCOUNTS"]
    assert not any(account.secret in argument for argument in service.argv)
    assert account == Account.derived("a secret")
    assert len({account.key, account.secret, *vars(Account.derived("another")).values()}) == 4


def test_a_taken_port_ends_it_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen" in refused("--port", str(taken.getsockname()[1]))


def test_it_imports_neither_django_nor_another_app() -> None:
    script = (
        "import sys, apps.stack.exchange.__main__\n"
        "others = [m for m in sys.modules if m.startswith('apps.') and not m.startswith('apps.stack')]\n"
        "assert 'django' not in sys.modules and not others, others"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no candles"),
        ([GOOD, GOOD], r"line 3: the minute 2023-03-01 00:00:00\+00:00 comes twice"),
        ([NEXT, GOOD], "line 3: .* is out of order"),
        ([GOOD, NEXT.replace("10.75,11", "10.75,nan")], "candle 2: high is no number: 'nan'"),
        ([GOOD, NEXT.replace("10.75,11", "10.75,1_1")], "candle 2: high is no number"),
        ([GOOD.replace("3.25", "")], "candle 1: volume is no number: ''"),
        ([GOOD.replace("3.25", "1e300")], "candle 1: volume is too large"),
        ([GOOD.replace("10.5,", "0,").replace("11,10,", "11,0,")], "above zero"),
        ([GOOD.replace(",11,", ",9,")], "between low and high"),
        ([GOOD.replace("2023-03-01 00:00:00+00:00", "yesterday")], "line 2: open_time is no time"),
        ([GOOD.replace("00:00:00+", "00:00:30+")], "not on a minute"),
        ([GOOD.replace("2023", "2999")], "has not ended"),
        (["2023-03-01 00:00:00+00:00,10.5,11"], "line 2: 3 of 6 columns"),
        ([GOOD.replace("3.25", "0.123456789")], "more than 8 decimals"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    path = write_minutes(tmp_path / "minutes.csv.gz", lines)
    message = refused("--port", "0", "--candles", str(path))
    assert str(path) in message
    assert re.search(reason, message), message


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    path = write_minutes(tmp_path / "x.csv.gz", [GOOD], header=HEADER.replace("volume", "amount"))
    assert "no column volume" in refused("--port", "0", "--candles", str(path))


def test_a_file_that_is_not_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_text(f"{HEADER}\n{GOOD}\n")
    assert "not a whole gzip file" in refused("--port", "0", "--candles", str(path))


def test_a_cut_off_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode())[:-12])
    assert "not a whole gzip file" in refused("--port", "0", "--candles", str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused("--port", "0", "--candles", str(tmp_path / "none.csv.gz"))


def test_a_symbol_that_is_no_pair_is_refused(tmp_path: Path) -> None:
    path = write_minutes(tmp_path / "x.csv.gz", [GOOD])
    assert "--symbol" in refused("--port", "0", "--candles", str(path), "--symbol", "USDT")
