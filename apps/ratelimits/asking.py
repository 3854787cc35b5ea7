"""Asking the limiter what a gate wants to know, in threads and in coroutines."""

from __future__ import annotations

from contextlib import suppress

from django.http import HttpResponse

from apps.ratelimits.gate import Gate
from apps.ratelimits.identity import Identity
from apps.ratelimits.limiter import Unavailable


def ask(gate: Gate) -> None:
    """Have the gate know what is said of its charges, from here if that is known, else from Redis."""
    if not gate.charges or gate.remembered():
        return
    try:
        decision = gate.engine.hit(gate.charges, gate.cost)
    except Unavailable:
        gate.without_redis()
    else:
        gate.take(decision)


async def aask(gate: Gate) -> None:
    """`ask`, for coroutines."""
    if not gate.charges or gate.remembered():
        return
    try:
        decision = await gate.engine.ahit(gate.charges, gate.cost)
    except Unavailable:
        gate.without_redis()
    else:
        gate.take(decision)


def settle(gate: Gate, identity: Identity) -> HttpResponse | None:
    """It is known who asks: see what follows. Returns the answer of who is denied for it.

    What the address was charged is taken back then: who is denied is denied by all. Only who was told so a
    moment ago, and comes with another credential of theirs, is not refunded for finding that out again.
    """
    before = gate.settle(identity)
    ask(gate)
    owed = gate.owed(before)
    if owed is not None:
        gate.engine.refund(owed)
    return gate.refusal


async def asettle(gate: Gate, identity: Identity) -> HttpResponse | None:
    """`settle`, for coroutines."""
    before = gate.settle(identity)
    await aask(gate)
    owed = gate.owed(before)
    if owed is not None:
        await gate.engine.arefund(owed)
    return gate.refusal


def conclude(gate: Gate, response: HttpResponse) -> HttpResponse:
    """The answer goes out, with what it tells of limits. A credential that was refused is counted."""
    gate.finish(response)
    charges = gate.failed(response)
    if charges:
        # The engine has counted that Redis is away; the request is over.
        with suppress(Unavailable):
            gate.engine.hit(charges, 1)
    return response


async def aconclude(gate: Gate, response: HttpResponse) -> HttpResponse:
    """`conclude`, for coroutines."""
    gate.finish(response)
    charges = gate.failed(response)
    if charges:
        with suppress(Unavailable):
            await gate.engine.ahit(charges, 1)
    return response
