"""For views of DRF: who was verified by the view, and limits of a view's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import status
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.core.addresses import bucket_of
from apps.core.clients import client_address
from apps.ratelimits import answers
from apps.ratelimits.asking import settle
from apps.ratelimits.engine import engine
from apps.ratelimits.gate import Gate
from apps.ratelimits.scopes import scope

if TYPE_CHECKING:
    # Importing this imports the throttles of the settings.
    from rest_framework.views import APIView


class TooManyRequests(Throttled):
    """A request that is denied (429): what its problem says is in ``detail`` and ``members``."""

    default_code = "too-many-requests"

    def __init__(self, retry_after: int | None, violated: list[str]) -> None:
        super().__init__(wait=retry_after)
        self.detail = answers.too_many(retry_after)  # type: ignore[assignment]
        self.members = {"violated-policies": violated}


class NotToBeTold(APIException):
    """Whether the request may be made cannot be told now (503)."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = answers.CLOSED
    default_code = "unavailable"
    #: As `Throttled` has it, for the header ``Retry-After``.
    wait = answers.OUTAGE


class VerifiedThrottle(BaseThrottle):
    """Asks for the user or key that the view has verified, where the middleware could not know of them.

    To be among the ``throttle_classes`` of every view that verifies credentials in the header
    ``Authorization``; the settings have it as the default.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """True, or raises `TooManyRequests` or `NotToBeTold`."""
        gate: Gate | None = getattr(request._request, "ratelimits", None)
        if gate is None or gate.settled or settle(gate, gate.identify(request.user, request.auth)) is None:
            return True
        if gate.decision is None or gate.decision.allowed:
            raise NotToBeTold
        raise TooManyRequests(gate.decision.retry_after, gate.violated)


class ScopeThrottle(BaseThrottle):
    """Limits of a view's own: those of the group that its ``ratelimit_scope`` names, by user or address.

    Asked beside what the view's address belongs to. The group has no routes and prefixes.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        """True, or raises `TooManyRequests` or `NotToBeTold`."""
        limits = scope(view.ratelimit_scope)  # type: ignore[attr-defined]
        if request.user is not None and request.user.is_authenticated:
            verdict = limits.hit("user", str(request.user.pk))
        else:
            address = bucket_of(client_address(request._request), engine().config.ipv6_prefix)
            if not address:
                return True
            verdict = limits.hit("address", address)
        if verdict.is_unknown:
            raise NotToBeTold
        if not verdict.allowed:
            violated = [one.policy.id for one in verdict.results if one.denied]
            raise TooManyRequests(verdict.retry_after, violated)
        return True


def finds_out(view: Any) -> bool:
    """Whether it is a view with a throttle that goes on once it knows who asks."""
    return VerifiedThrottle in getattr(view, "throttle_classes", ())
