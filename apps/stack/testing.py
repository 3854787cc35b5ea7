"""What tests import from the stack: private servers and the product's processes.

How to use them stands in the package's docstring.
"""

from __future__ import annotations

from apps.stack.errors import StackError, StartFailed
from apps.stack.processes import Beat, Relay, Web, Worker
from apps.stack.servers import (
    EmbeddedPostgres,
    Running,
    SimulatedExchange,
    SmtpSink,
    SqsServer,
    Valkey,
)

__all__ = [
    "Beat",
    "EmbeddedPostgres",
    "Relay",
    "Running",
    "SimulatedExchange",
    "SmtpSink",
    "SqsServer",
    "StackError",
    "StartFailed",
    "Valkey",
    "Web",
    "Worker",
]
