"""The benchmark SQS server: small, fast, and never offered to users.

Run as ``python -m tests.benchmarks.sqs_server --port 0`` (it prints its address) or ``--fd N``. It keeps what
measurements and fault tests depend on: visibility, delays, long polls, batches, FIFO groups and
deduplication, redrive to a dead-letter queue. It speaks the JSON protocol, as boto3 and kombu do, and checks
neither signatures nor permissions. Everything lives in its memory and dies with it.

Under ``/control/`` (see `tests.benchmarks.sqs_control`) it counts requests, adds latency to each, breaks
requests, holds deliveries back and loses its contents, as it is told.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from apps.stack.sockets import inherited
from tests.benchmarks import sqs_faults
from tests.benchmarks.sqs_errors import SqsError, invalid
from tests.benchmarks.sqs_service import Answer, Parameters, Service

_encode = json.JSONEncoder(separators=(",", ":")).encode
_request_ids = itertools.count(1)


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another, as HTTP/1.1 has them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._give_up: Callable[[], None] | None = None
        self._busy = False
        self._close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._give_up is not None:
            self._give_up()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        """Take the next request out of the buffer, if it is there as a whole."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        low = head.lower()
        length = int(_header(head, low, b"content-length") or 0)
        body_end = end + 4 + length
        if len(self._buffer) < body_end:
            if self._transport is not None and _header(head, low, b"expect"):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body, self._buffer = self._buffer[end + 4 : body_end], self._buffer[body_end:]
        self._busy = True
        self._close = _header(head, low, b"connection").lower() == "close"
        target = _header(head, low, b"x-amz-target")
        if target:
            self._act(target.rpartition(".")[2], body)
        else:
            self._other(head.split(b" ", 2)[1].decode(), body)

    def _act(self, action: str, body: bytes) -> None:
        service = self._service
        try:
            parameters: Parameters = json.loads(body or b"{}")
        except ValueError:
            self._refuse(SqsError("SerializationException", "The request is not JSON."))
            return
        queue = service.queue_name(parameters)
        service.requests[queue][action] += 1
        fault = service.faults.of_request(action, queue) if service.faults else ""
        if fault:
            service.broken[fault] += 1
            if fault == sqs_faults.LOST_ANSWER:
                self._carry_out(action, parameters, lambda _: self._reset())
            elif fault == sqs_faults.RESET:
                self._reset()
            elif fault != sqs_faults.HANG:
                self._respond(*sqs_faults.ANSWERS[fault])
            return
        self._carry_out(action, parameters, self._answer)

    def _carry_out(self, action: str, parameters: Parameters, answer: Answer) -> None:
        service = self._service
        try:
            if action == "ReceiveMessage":
                self._give_up = service.receive(parameters, answer)
            elif action in service.actions:
                answer(service.actions[action](parameters))
            else:
                raise SqsError("UnsupportedOperation", f"This server has no {action}.")
        except SqsError as exc:
            self._refuse(exc)
        except (KeyError, TypeError, ValueError) as exc:
            self._refuse(invalid(f"The request to {action} cannot be understood: {exc!r}"))

    def _answer(self, value: Any) -> None:
        self._give_up = None
        self._respond(200, _encode(value).encode())

    def _refuse(self, exc: SqsError) -> None:
        body = _encode({"__type": f"com.amazonaws.sqs#{exc.code}", "message": exc.message})
        self._respond(exc.status, body.encode(), f"x-amzn-query-error: {exc.query_code};Sender\r\n")

    def _respond(self, status: int, body: bytes, headers: str = "") -> None:
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\n"
            "Content-Type: application/x-amz-json-1.0\r\n"
            f"x-amzn-RequestId: {next(_request_ids):032x}\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._later(head.encode() + body)

    def _later(self, data: bytes) -> None:
        if self._service.latency:
            self._service.loop.call_later(self._service.latency, self._write, data)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        self._busy = False
        if self._transport is None:
            return
        self._transport.write(data)
        if self._close:
            self._transport.close()
        elif self._buffer:
            self._next()

    def _reset(self) -> None:
        if self._transport is not None:
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _other(self, path: str, body: bytes) -> None:
        """Control, and a sign of life at the root."""
        service = self._service
        prefix, _, verb = path.strip("/").partition("/")
        status, answer = 200, ""
        if prefix == "control":
            try:
                answer = _encode(service.control(verb, json.loads(body or b"{}")))
            except (KeyError, TypeError, ValueError) as exc:
                status, answer = 400, _encode({"message": f"{type(exc).__name__}: {exc}"})
        elif prefix:
            status = 404
        data = answer.encode()
        kind = f"Content-Type: application/json\r\nContent-Length: {len(data)}"
        self._write(f"HTTP/1.1 {status} Control\r\n{kind}\r\n\r\n".encode() + data)


def _header(head: bytes, low: bytes, name: bytes) -> str:
    """The value of a header, empty when it is not there. *low* is *head* in lower case, as *name* is."""
    start = low.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip().decode("latin-1")


async def serve(listener: socket.socket) -> None:
    """Serve on *listener* until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    host, port = listener.getsockname()
    service = Service(loop, f"http://{host}:{port}")
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listener.setblocking(False)
    server = await loop.create_server(lambda: Connection(service), sock=listener, backlog=256)
    print(f"listening on {service.url}", flush=True)
    # Messages come and go in thousands and hold no cycles: looking for some would cost latency.
    gc.set_threshold(100_000, 50, 50)
    await stopped.wait()
    server.close()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="An SQS server in memory, for benchmarks and fault tests.")
    parser.add_argument("--fd", type=int, help="an inherited listening socket")
    parser.add_argument("--port", type=int, help="or a loopback port to listen on; 0: any free one")
    options = parser.parse_args(arguments)
    asyncio.run(serve(inherited(options.fd, options.port)))


if __name__ == "__main__":
    main()
