"""The exchange on HTTP/1.1: threads, weights, faults and the ``/_sim`` interface."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from apps.stack.exchange.api import ROUTES, Exchange, Route
from apps.stack.exchange.errors import ApiError
from apps.stack.exchange.faults import BAD_GATEWAY_PAGE, BadRule, Faults, Rule, parse_rules, spoil
from apps.stack.exchange.limits import WeightLimiter
from apps.stack.exchange.parameters import Parameters

_JSON = "application/json;charset=UTF-8"
_HTML = "text/html"
_LARGEST_BODY = 1 << 20
_NOT_FOUND_PAGE = "<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>"
# The outcome counted for a connection that was cut on purpose.
_CUT = "reset"


class Stats:
    """How many requests each path had, by outcome. Safe for many threads."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    def count(self, path: str, outcome: str) -> None:
        with self._lock:
            self._counts.setdefault(path, Counter())[outcome] += 1

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            return {
                "paths": {
                    path: {"requests": counts.total(), "outcomes": dict(counts)}
                    for path, counts in self._counts.items()
                }
            }


class ExchangeServer(ThreadingHTTPServer):
    """Serves one `Exchange` on a socket that already listens."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, exchange: Exchange) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.exchange = exchange
        self.faults = Faults()
        self.limiter = WeightLimiter()
        self.stats = Stats()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle of an answer is no news; the rest is printed as usual."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()


def _json(value: object, status: int = 200) -> _Answer:
    return _Answer(status=status, body=json.dumps(value, separators=(",", ":")).encode())


class _Handler(BaseHTTPRequestHandler):
    """One connection, with as many requests as the client likes to send over it."""

    server: ExchangeServer
    protocol_version = "HTTP/1.1"
    server_version = "chandlery-exchange"
    sys_version = ""
    timeout = 120
    # One segment for head and body: two would wait for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
        """No access log: the counts are at /_sim/stats."""

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        body = self._body()
        if body is None:
            return
        try:
            url = urlsplit(self.path)
        except ValueError:
            self._send(_json({"code": -1000, "msg": "Bad address."}, 400))
            return
        if url.path.startswith("/_sim/"):
            self._send(self._simulation(url.path, body))
            return
        route = ROUTES.get((self.command, url.path))
        symbol = parse_qs(url.query).get("symbol", [None])[0]
        rule = self.server.faults.take(url.path, symbol)
        counted = url.path if route is not None else "other"
        answer = self._faulty(rule) if rule is not None else None
        if rule is not None and rule.kind == "reset":
            self.server.stats.count(counted, _CUT)
            self._cut()
            return
        if answer is None:
            answer = self._exchange(route, url.query, symbol, rule)
        self.server.stats.count(counted, str(answer.status))
        self._send(answer)

    def _body(self) -> bytes | None:
        """The request's body; None when it was refused for its length."""
        announced = self.headers.get("Content-Length", "0")
        if not announced.isdigit() or int(announced) > _LARGEST_BODY:
            self.close_connection = True
            self._send(_json({"code": -1000, "msg": "Bad Content-Length."}, 400))
            return None
        return self.rfile.read(int(announced))

    def _exchange(self, route: Route | None, query: str, symbol: str | None, rule: Rule | None) -> _Answer:
        """What the exchange answers when nothing is wrong with it, but perhaps with its candles."""
        if route is None:
            return _Answer(status=404, body=_NOT_FOUND_PAGE.encode(), content_type=_HTML)
        exchange, address = self.server.exchange, self.client_address[0]
        try:
            used = self.server.limiter.charge(
                address, route.weigh(symbol is not None), now_ms=exchange.now_ms()
            )
        except ApiError as error:
            return self._refusal(error, self.server.limiter.used(address, now_ms=exchange.now_ms()))
        try:
            result = route.answer(exchange, Parameters(query))
        except ApiError as error:
            return self._refusal(error, used)
        if rule is not None and rule.kind == "rows" and isinstance(result, list):
            result = spoil(result, rule.rows)
        answer = _json(result)
        return _Answer(status=200, body=answer.body, headers=_weights(used))

    def _refusal(self, error: ApiError, used: int) -> _Answer:
        headers = _weights(used)
        if error.retry_after is not None:
            headers += (("Retry-After", str(error.retry_after)),)
        return _Answer(status=error.status, body=_json(error.body()).body, headers=headers)

    def _faulty(self, rule: Rule) -> _Answer | None:
        """The answer that *rule* gives; None when the exchange still answers itself."""
        if rule.kind == "status":
            body = rule.response_body()
            kind = _HTML if body.startswith(b"<") else _JSON
            headers = tuple((rule.headers or {}).items())
            return _Answer(status=rule.status, body=body, content_type=kind, headers=headers)
        if rule.kind == "garbage":
            return _Answer(status=200, body=b'[[1677628800000,"23140.48","231')
        if rule.kind == "html":
            return _Answer(status=502, body=BAD_GATEWAY_PAGE.encode(), content_type=_HTML)
        if rule.kind == "delay":
            self.server.stopping.wait(rule.seconds)
        return None

    def _simulation(self, path: str, body: bytes) -> _Answer:
        """The interface that a real exchange does not have."""
        server = self.server
        match self.command, path:
            case "GET", "/_sim/info":
                return _json(server.exchange.info())
            case "GET", "/_sim/stats":
                return _json(server.stats.as_json())
            case "GET", "/_sim/faults":
                return _json(server.faults.listed())
            case "POST", "/_sim/faults":
                try:
                    server.faults.add(parse_rules(body))
                except BadRule as error:
                    return _json({"error": str(error)}, 400)
                return _json(server.faults.listed())
            case "DELETE", "/_sim/faults":
                server.faults.clear()
                return _json([])
        return _json({"error": f"no {self.command} {path}"}, 404)

    def _send(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _cut(self) -> None:
        """End the connection with a TCP reset instead of an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _weights(used: int) -> tuple[tuple[str, str], ...]:
    return (("X-MBX-USED-WEIGHT", str(used)), ("X-MBX-USED-WEIGHT-1M", str(used)))
