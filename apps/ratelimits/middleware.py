"""Counts every request before anything else happens to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse

from apps.core.addresses import bucket_of
from apps.core.answering import EitherStack, GetResponse
from apps.core.clients import client_address
from apps.ratelimits import answers, conf
from apps.ratelimits.asking import aask, aconclude, asettle, ask, conclude, settle
from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.gate import Gate
from apps.ratelimits.limiter import subject
from apps.ratelimits.rules import Ruleset
from apps.ratelimits.throttles import finds_out

Response = HttpResponse | Awaitable[HttpResponse]


class RateLimitMiddleware(EitherStack):
    """Denies what is too much, and has every answer tell what is left.

    Stands behind nothing but what writes headers. Works in either kind of stack without changing threads.
    ``request.ratelimits`` is the request's `Gate`, where it has one. Where Redis gives no answer, what
    follows is up to the group.
    """

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self.process_view: Any = self._aview if self._is_async else self._view

    def __call__(self, request: HttpRequest) -> Response:
        if self._is_async:
            return self._acall(request)
        get_response = cast("Callable[[HttpRequest], HttpResponse]", self.get_response)
        if not conf.enabled():
            return get_response(request)
        limits = engine()
        gate, refusal = _gate(limits, limits.rules(), request)
        if refusal is not None:
            return refusal
        if gate is None:
            return get_response(request)
        ask(gate)
        return conclude(gate, gate.refusal or get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        get_response = cast("Callable[[HttpRequest], Awaitable[HttpResponse]]", self.get_response)
        if not conf.enabled():
            return await get_response(request)
        limits = engine()
        gate, refusal = _gate(limits, await limits.arules(), request)
        if refusal is not None:
            return refusal
        if gate is None:
            return await get_response(request)
        await aask(gate)
        return await aconclude(gate, gate.refusal or await get_response(request))

    def _view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        gate = _unsettled(request, view)
        if gate is None:
            return None
        return settle(gate, gate.identify(getattr(request, "user", None)))

    async def _aview(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        gate = _unsettled(request, view)
        if gate is None:
            return None
        user = await request.auser() if hasattr(request, "auser") else None
        return await asettle(gate, await sync_to_async(gate.identify)(user))


def _unsettled(request: HttpRequest, view: Any) -> Gate | None:
    """The request's gate, if it still has to be known who asks, and that is not for the view to find out."""
    gate: Gate | None = getattr(request, "ratelimits", None)
    if gate is None or gate.settled:
        return None
    # A view of DRF may verify what nobody else can. Its throttle goes on then.
    own = "HTTP_AUTHORIZATION" in request.META and finds_out(getattr(view, "cls", None))
    return None if own else gate


def _gate(limits: Engine, rules: Ruleset, request: HttpRequest) -> tuple[Gate | None, HttpResponse | None]:
    """What the request has to pass, if anything; or the answer of who is not let in at all."""
    address = client_address(request)
    if rules.denied and address in rules.denied:
        limits.tally.count("decisions", "address-rules", "shut-out")
        return None, answers.shut_out(request)
    if rules.allowed and address in rules.allowed:
        return None, None
    group = rules.match(request)
    if group is None or group.exempt:
        return None, None
    bucket = bucket_of(address, limits.config.ipv6_prefix)
    if not bucket:
        # Nobody's name would be everybody's.
        limits.tally.unidentified(request)
    counted = bucket and address not in group.exempt_addresses
    gate = Gate(limits, group, request, subject("address", bucket) if counted else "")
    request.ratelimits = gate  # type: ignore[attr-defined]
    return gate, None
