"""A proxy in front of an SQS server that breaks requests on demand."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

#: kind -> (status, body); None: no answer, the connection is reset.
FAULTS: dict[str, tuple[int, bytes] | None] = {
    "internal error": (500, b'{"__type":"InternalError"}'),
    "unavailable": (503, b"<html>no</html>"),
    "bad gateway": (502, b""),
    "throttled": (400, b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}'),
    "forbidden": (403, b'{"__type":"AccessDenied","message":"no"}'),
    "gone": (400, b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}'),
    "garbage": (200, b"this is not json"),
    "wrong shape": (200, b'["a", "list"]'),
    "nothing": (200, b"{}"),
    "reset": None,
}
#: The connection stays open, and no answer ever comes.
SILENCE = "silence"


class SqsProxy:
    """Forwards to *target*; while `fault` is set, answers ReceiveMessage (or all requests) with it.

    With *tls* it is reached by HTTPS.
    """

    def __init__(self, target: str, *, tls: ssl.SSLContext | None = None) -> None:
        where = urlsplit(target)
        self._target = (where.hostname or "", where.port or 80)
        self.fault: str | None = None
        self.only = "ReceiveMessage"
        self.broken = 0
        #: How many requests came, by action.
        self.requests: Counter[str] = Counter()
        #: The connections by which they came.
        self.connections: set[Any] = set()
        self._closed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with suppress(ConnectionError):
                    super().handle()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                outer.requests[action] += 1
                outer.connections.add(self.client_address)
                if outer.fault and action.startswith(outer.only):
                    outer.broken += 1
                    if outer.fault == SILENCE:
                        self.close_connection = True
                        outer._closed.wait()
                    else:
                        outer._break(self, FAULTS[outer.fault])
                else:
                    outer._forward(self, body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def _break(self, handler: BaseHTTPRequestHandler, answer: tuple[int, bytes] | None) -> None:
        handler.close_connection = True
        if answer is None:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            return
        self._answer(handler, *answer, [("Content-Type", "application/x-amz-json-1.0")])

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        connection = http.client.HTTPConnection(*self._target, timeout=30)
        headers = {key: value for key, value in handler.headers.items() if key.lower() != "host"}
        try:
            connection.request("POST", handler.path, body, {**headers, "Host": handler.headers["Host"]})
            answer = connection.getresponse()
            skipped = ("content-length", "transfer-encoding", "connection")
            kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in skipped]
            self._answer(handler, answer.status, answer.read(), kept)
        except OSError:
            handler.close_connection = True
        finally:
            connection.close()

    def _answer(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: list[tuple[str, str]]
    ) -> None:
        handler.send_response(status)
        for key, value in headers:
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
