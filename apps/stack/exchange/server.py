"""The exchanges on HTTP/1.1: threads, and faults that concern the wire."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from apps.stack.exchange.answers import HTML, Answer, answer_of, json_answer, page
from apps.stack.exchange.api import Exchange
from apps.stack.exchange.face import Face
from apps.stack.exchange.faults import Rule
from apps.stack.exchange.operating import PREFIX, Operator
from apps.stack.exchange.request import Request

_LARGEST_BODY = 1 << 20


class ExchangeServer(ThreadingHTTPServer):
    """Serves one `Exchange` on a socket that already listens."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, exchange: Exchange) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.exchange = exchange
        self.operator = Operator(exchange)
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle of an answer is no news; the rest is printed as usual."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


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
            self._send(json_answer({"error": "bad address"}, 400))
            return
        operator = self.server.operator
        if url.path.startswith(PREFIX):
            self._send(operator.answer(self.command, url.path, body))
            return
        self._serve(
            Request(
                method=self.command,
                path=url.path,
                query=url.query,
                body="" if self.command == "GET" else body.decode(errors="replace"),
                address=self.client_address[0],
                key=self.headers.get("X-MBX-APIKEY"),
            )
        )

    def _serve(self, request: Request) -> None:
        """Answer *request*, in the way of the first fault that was ordered for it."""
        exchange, operator = self.server.exchange, self.server.operator
        face = exchange.face_of(request)
        speaker = face or exchange.neighbour_of(request.path)
        rule = operator.faults.take(request.method, request.path, speaker.market_of(request))
        counted = request.endpoint if face is not None else "other"
        done = None
        if rule is not None and rule.executed:
            done = self._sound(face, request, rule)
        if rule is not None and (rule.kind == "reset" or (rule.kind == "lost" and not rule.seconds)):
            operator.stats.count(counted, rule.kind)
            self._cut()
            return
        answer = self._faulty(rule, speaker) if rule is not None else None
        if answer is None:
            answer = done or self._sound(face, request, rule)
        operator.stats.count(counted, str(answer.status))
        self._send(answer)

    def _body(self) -> bytes | None:
        """The request's body; None when it was refused for its length."""
        announced = self.headers.get("Content-Length", "0")
        if not announced.isdigit() or int(announced) > _LARGEST_BODY:
            self.close_connection = True
            self._send(json_answer({"error": "bad Content-Length"}, 400))
            return None
        return self.rfile.read(int(announced))

    def _sound(self, face: Face | None, request: Request, rule: Rule | None) -> Answer:
        """What the exchange answers itself, perhaps with spoiled candles or odd trades."""
        if face is None:
            return self.server.exchange.neighbour_of(request.path).missing()
        return face.answer(request, rule)

    def _faulty(self, rule: Rule, face: Face) -> Answer | None:
        """The answer that *rule* gives; None when the exchange still answers itself."""
        if rule.kind == "status":
            content = face.failure(rule.status) if rule.body is None else rule.body
            return answer_of(rule.status, content, rule.headers or {})
        if rule.kind == "garbage":
            return Answer(body=b'[[1677628800000,"23140.48","231')
        if rule.kind == "html":
            return Answer(status=502, body=page(502, "Bad Gateway").encode(), content_type=HTML)
        if rule.kind in ("delay", "lost"):
            self.server.stopping.wait(rule.seconds)
        return None

    def _send(self, answer: Answer) -> None:
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
