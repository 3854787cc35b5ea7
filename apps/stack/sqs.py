"""The embedded SQS server as a process; what it runs is `apps.stack.sqs_server`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from apps.stack import environment
from apps.stack.child import Service
from apps.stack.folders import CHECKOUT
from apps.stack.probes import answers_http
from apps.stack.sockets import HOST, port_of


@dataclass(frozen=True, kw_only=True)
class Sqs:
    """One server on an inherited *listener*, which declares *queues* before it answers.

    Every queue ``q`` gets a dead-letter queue ``q-dlq``, a RedrivePolicy with *max_receive_count*, and
    *visibility* seconds. The messages live in its memory and die with it.
    """

    listener: socket.socket
    queues: tuple[str, ...]
    visibility: int = 120
    max_receive_count: int = 5

    def url(self) -> str:
        """Its endpoint."""
        return f"http://{HOST}:{port_of(self.listener)}"

    def environ(self) -> dict[str, str]:
        """What the product needs to reach it, and short polls: they cost nothing here."""
        wait = os.environ.get("SQS_WAIT_TIME", "1")
        return {"SQS_ENDPOINT_URL": self.url(), "SQS_WAIT_TIME": wait, **environment.aws()}

    def service(self) -> Service:
        """The server as a process."""
        variables: Mapping[str, str] = environment.aws()
        return Service(
            name="sqs",
            argv=(
                *(sys.executable, "-m", "apps.stack.sqs_server", "--fd", str(self.listener.fileno())),
                *("--region", variables["AWS_REGION"], "--visibility", str(self.visibility)),
                *("--max-receive-count", str(self.max_receive_count), *self.queues),
            ),
            environ=environment.inherited(**variables),
            folder=CHECKOUT,
            ready=answers_http(f"{self.url()}/?Action=ListQueues"),
            stop_timeout=5.0,
            inherit=(self.listener.fileno(),),
        )
