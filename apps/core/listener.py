"""``/metrics``, ``/healthz`` and ``/readyz`` of processes that serve nothing else: workers, relays, beats."""

from __future__ import annotations

import hmac
import json
import logging
import os
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol

from django.conf import settings
from prometheus_client.exposition import choose_encoder

from apps.core.instruments import make_all, registry

logger = logging.getLogger(__name__)

#: Seconds between two attempts to listen where the port is in use: by what is left of a predecessor, say.
_TRY_EVERY = 2.0
_PATIENCE = 10.0


class Health(Protocol):
    """How a process stands, in words that are fit to be shown; each is empty where all is well."""

    def trouble(self) -> str:
        """Why it should be started anew. That a server is away is no reason: nothing would be won."""

    def hindrance(self) -> str:
        """Why it cannot do its work now, whatever the cause."""


def listen(health: Health) -> None:
    """Answer on ``METRICS_HOST`` and ``METRICS_PORT``, in a thread, for as long as the process lives.

    ``/healthz`` is 503 with a trouble, ``/readyz`` with a trouble or a hindrance. Nothing happens without a
    port.
    """
    if settings.METRICS_PORT:
        # Here and not in the thread, which would hold the library's lock while this one forks.
        make_all()
        threading.Thread(target=_serve, args=(health,), name="metrics", daemon=True).start()


def _serve(health: Health) -> None:
    address = (settings.METRICS_HOST, settings.METRICS_PORT)
    said = False
    while True:
        try:
            server = _Server(address, health)
            break
        except OSError as exc:
            if not said:
                logger.error("no figures are served on %s:%d for now: %s", *address, exc)
                said = True
            threading.Event().wait(_TRY_EVERY)
    # A forked process must not keep the port when this one has ended.
    os.register_at_fork(after_in_child=server.socket.close)
    logger.info("figures are served on %s:%d", *server.server_address[:2])
    server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.health = health
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which waits for a name server to tell a name that nobody reads.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("an answer to %s failed", client_address[0], exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._told("ok", "failing", self.server.health.trouble())
        elif path == "/readyz":
            health = self.server.health
            self._told("ready", "unready", health.trouble() or health.hindrance())
        elif path != "/metrics":
            self._json(HTTPStatus.NOT_FOUND, {"status": "not found"})
        elif not self._may_scrape():
            self._json(HTTPStatus.UNAUTHORIZED, {"status": "unauthorized"})
        else:
            encoder, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, content_type, encoder(registry))

    def _may_scrape(self) -> bool:
        token = settings.METRICS_TOKEN
        given = self.headers.get("Authorization", "")
        return not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    def _told(self, well: str, ill: str, reason: str) -> None:
        if reason:
            self._json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": ill, "reason": reason})
        else:
            self._json(HTTPStatus.OK, {"status": well})

    def _json(self, status: HTTPStatus, document: dict[str, str]) -> None:
        self._answer(status, "application/json", json.dumps(document).encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: every few seconds somebody asks."""
