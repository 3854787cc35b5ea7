"""The limiter: several policies asked in one round trip, and charged all or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from apps.ratelimits.limiter.asking import CHARGE, LOOK, Keys, decision, question, refunding
from apps.ratelimits.limiter.scripts import script
from apps.ratelimits.limiter.transports import Transport
from apps.ratelimits.limiter.values import Charge, Decision, Policy, Result


class Limiter:
    """Decides by sliding windows in Redis, for every process alike, by the clock of the server.

    However many processes ask, no policy ever admits more than its limit in any window of its length; and as
    long as fewer were admitted, one in a log denies nothing. Every method raises `Unavailable` where Redis
    gives no answer. An instance may be used by any number of threads.
    """

    def __init__(self, transport: Transport, *, prefix: str = "") -> None:
        self.transport = transport
        self.keys = Keys(prefix)
        self._decide = script("decide")

    def hit(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """Charge *cost* units to all, if all that deny have room for it; else to none.

        No policy may be asked twice of one subject. Raises `ValueError` for a cost below 1.
        """
        return self._ask(charges, cost, CHARGE)

    def peek(self, charges: Sequence[Charge], cost: int = 1) -> Decision:
        """What `hit` would say now. Nothing is charged."""
        return self._ask(charges, cost, LOOK)

    def stats(self, charges: Sequence[Charge]) -> tuple[Result, ...]:
        """How much is used of each and how much is left."""
        return self._ask(charges, 0, LOOK).results

    def refund(self, charged: Decision) -> None:
        """Take back what `hit` charged; what is over already stays so."""
        logs, arguments = refunding(self.keys, charged)
        if logs:
            self.transport.run(script("refund"), logs, arguments)

    def reset(self, subject: str, policies: Iterable[Policy | str]) -> int:
        """Forget what was charged to *subject* under *policies*, or ids of them. Returns how many had any."""
        logs = [self.keys.log(policy, subject) for policy in policies]
        return int(self.transport.command("DEL", *logs)) if logs else 0

    def version(self) -> str:
        """Of the rules, as every decision tells it; empty before the first `publish`."""
        found: bytes | None = self.transport.command("GET", self.keys.version)
        return found.decode() if found else ""

    def publish(self) -> str:
        """Give the rules a new version: whoever decides next is told."""
        version = uuid4().hex[:12]
        self.transport.command("SET", self.keys.version, version.encode())
        return version

    def probe(self) -> None:
        """See whether Redis answers and can be written to."""
        self.transport.command("SET", self.keys.probe, b"1", b"PX", b"1000")

    def _ask(self, charges: Sequence[Charge], cost: int, verb: bytes) -> Decision:
        logs, arguments = question(self.keys, charges, cost, verb)
        reply: Sequence[Any] = self.transport.run(self._decide, logs, arguments)
        return decision(charges, cost, reply)
