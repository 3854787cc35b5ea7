"""The embedded SQS server: moto's, behind one lock, speaking HTTP/1.1, with its queues declared at once.

Run as ``python -m apps.stack.sqs_server --fd N QUEUE…``. moto keeps SQS's rules (visibility, receive counts,
dead-letter queues, FIFO groups), but two requests at once can deliver one message twice or trip over each
other's changes, so everything that touches messages takes one lock; a long poll gives it up while it waits.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# moto reads these when it is imported. AWS allows one purge a minute; tests purge more often.
os.environ.setdefault("MOTO_SQS_ENFORCE_STRICT_QUEUE_PURGE_BEHAVIOUR", "false")

from moto.moto_server.werkzeug_app import create_backend_app
from moto.sqs.models import SQSBackend, sqs_backends
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from apps.stack.sockets import inherited

_LOCKED = (
    "send_message",
    "send_message_batch",
    "delete_message",
    "delete_message_batch",
    "change_message_visibility",
    "change_message_visibility_batch",
    "purge_queue",
    "create_queue",
    "delete_queue",
    "get_queue_attributes",
    "set_queue_attributes",
)
_ACCOUNT = "123456789012"  # whose queues moto serves, whatever the credentials
_changed = threading.Condition(threading.RLock())
# A message can become visible without any request: its delay or its visibility timeout ran out.
_TICK = 0.2


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    """*method* under the lock; whoever polls looks again afterwards."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _changed:
            try:
                return method(*args, **kwargs)
            finally:
                _changed.notify_all()

    return wrapper


def _polling(receive: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """*receive*, moto's own, asked without waiting, again and again until there is something."""

    @functools.wraps(receive)
    def wrapper(
        self: SQSBackend, queue_name: str, count: int, wait_seconds_timeout: int, *args: Any, **kwargs: Any
    ) -> list[Any]:
        deadline = time.monotonic() + (wait_seconds_timeout or 0)
        with _changed:
            while True:
                messages = receive(self, queue_name, count, 0, *args, **kwargs)
                left = deadline - time.monotonic()
                if messages or left <= 0:
                    return messages
                _changed.wait(min(left, _TICK))

    return wrapper


def serialise(backend: type[SQSBackend] = SQSBackend) -> None:
    """Put moto's SQS behind the lock."""
    for name in _LOCKED:
        setattr(backend, name, _locked(getattr(backend, name)))
    backend.receive_message = _polling(backend.receive_message)  # type: ignore[method-assign]


def dead_letter_name(queue: str) -> str:
    """The dead-letter queue of *queue*; a FIFO queue's must be one too."""
    stem, fifo, _ = queue.partition(".fifo")
    return f"{stem}-dlq{fifo}"


def declare(queue: str, *, region: str, visibility: int, max_receive_count: int) -> None:
    """Create *queue* with its dead-letter queue."""
    backend = sqs_backends[_ACCOUNT][region]
    kind = {"FifoQueue": "true"} if queue.endswith(".fifo") else {}
    dead = backend.create_queue(dead_letter_name(queue), {}, **kind)
    policy = json.dumps({"deadLetterTargetArn": dead.queue_arn, "maxReceiveCount": max_receive_count})
    attributes = kind | {"VisibilityTimeout": str(visibility), "RedrivePolicy": policy}
    backend.create_queue(queue, {}, **attributes)


class _Handler(WSGIRequestHandler):
    """Keeps connections open, sends each answer in one piece, and logs only what failed."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if str(code) >= "500":
            super().log_request(code, size)


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="An SQS server in memory, for development and tests.")
    parser.add_argument("--fd", type=int, help="an inherited listening socket")
    parser.add_argument("--port", type=int, help="or a loopback port to listen on")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--visibility", type=int, default=120, help="seconds")
    parser.add_argument("--max-receive-count", type=int, default=5)
    parser.add_argument("queues", nargs="*", metavar="QUEUE")
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    listener = inherited(options.fd, options.port)
    serialise()
    for queue in options.queues:
        declare(
            queue,
            region=options.region,
            visibility=options.visibility,
            max_receive_count=options.max_receive_count,
        )
    host, port = listener.getsockname()
    server = ThreadedWSGIServer(host, port, create_backend_app("sqs"), handler=_Handler, fd=listener.fileno())
    server.serve_forever()


if __name__ == "__main__":
    main()
