"""What limiters of every kind send and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.ratelimits.limiter.values import Charge, Decision, Policy, Result

LOOK, CHARGE = b"0", b"1"


class Keys:
    """The keys of one installation, all in one slot of a cluster."""

    def __init__(self, prefix: str = "") -> None:
        #: Before every key.
        self.tag = f"{{{prefix}rl}}:"
        self.version = f"{self.tag}version".encode()
        self.probe = f"{self.tag}probe".encode()
        #: Before every log: how it is written may change.
        self.logs = f"{self.tag}1|"

    def log(self, policy: Policy | str, subject: str) -> bytes:
        """Where the charges of a subject are. An id has no ``|`` in it, so no two pairs share one."""
        return f"{self.logs}{policy if isinstance(policy, str) else policy.id}|{subject}".encode()


def question(
    keys: Keys, charges: Sequence[Charge], cost: int, verb: bytes
) -> tuple[list[bytes], list[bytes]]:
    """Keys and arguments of ``decide.lua``. Raises `ValueError` for a cost below 1 that is to be charged."""
    if cost < (1 if verb is CHARGE else 0):
        raise ValueError(f"a cost is at least 1, not {cost}")
    logs = [keys.version]
    arguments = [b"%d" % cost, verb]
    log = keys.logs
    for policy, subject in charges:
        logs.append(f"{log}{policy.id}|{subject}".encode())
        arguments += policy.packed
    return logs, arguments


def refunding(keys: Keys, charged: Decision) -> tuple[list[bytes], list[bytes]]:
    """Keys and arguments of ``refund.lua``. No keys: there is nothing to take back."""
    taken = [one for one in charged.results if charged.allowed and not one.full]
    arguments = [b"%d" % charged.moment, b"%d" % charged.cost, *(one.policy.packed[1] for one in taken)]
    return [keys.log(one.policy, one.subject) for one in taken], arguments


def decision(charges: Sequence[Charge], cost: int, reply: Sequence[Any]) -> Decision:
    """What ``decide.lua`` answered."""
    results = []
    position = 3
    for policy, subject in charges:
        left, wait = reply[position], reply[position + 1]
        position += 2
        full = wait < 0
        if full:
            wait = None if wait == -1 else -1 - wait
        results.append(Result(policy, subject, left if left > 0 else 0, policy.limit - left, full, wait))
    return Decision(reply[1] == 1, tuple(results), cost, reply[0].decode(), reply[2])
