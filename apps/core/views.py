"""The base of API views, where the API begins, and the health of this process."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from apps.core import context, scopes


class ApiView(APIView):
    """An API view whose caller is named in every event that follows from the request.

    A key is let in only with the scope that the address needs (`apps.core.scopes`).
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, check permissions, and name the actor."""
        super().initial(request, *args, **kwargs)
        if request.user.is_authenticated:
            context.set_actor(f"user:{request.user.pk}")

    def check_permissions(self, request: Request) -> None:
        """Raises what the view's permissions do, and `InsufficientScope`."""
        super().check_permissions(request)
        match = request.resolver_match
        scopes.check(request.auth, match.route if match is not None else "", request.method or "")


def link_next(request: Request, response: Response, cursor: str) -> None:
    """Let the header ``Link`` of a page lead to the one that follows it, which begins at *cursor*."""
    parameters = request.query_params.copy()
    parameters["cursor"] = cursor
    address = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
    response["Link"] = f'<{address}>; rel="next"'


#: What the API begins with: names of it, and the routes that they lead to.
_BEGINNINGS = {
    "docs": "docs",
    "schema": "schema",
    "login": "login",
    "me": "me",
    "keys": "key-list",
    "instruments": "instrument-list",
    "candles": "candle-list",
    "backfills": "backfill-list",
    "backtests": "backtest-list",
    "sweeps": "sweep-list",
    "strategies": "strategy-list",
    "accounts": "account-list",
    "orders": "order-list",
    "positions": "position-list",
    "fills": "fill-list",
    "tasks": "task-list",
    "periodic": "periodic-list",
    "workers": "worker-list",
    "webhooks": "endpoint-list",
    "emails": "notification-email-list",
    "preferences": "notification-preference-list",
    "audit": "audit-list",
}


class ApiRoot(APIView):
    """Where the API begins."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="root",
        responses=inline_serializer("Root", {name: serializers.URLField() for name in _BEGINNINGS}),
        description="Where everything else is.",
    )
    def get(self, request: Request) -> Response:
        return Response({name: reverse(route, request=request) for name, route in _BEGINNINGS.items()})


def healthz(request: HttpRequest) -> JsonResponse:
    """Answers while this process can answer at all; asks nothing of other servers."""
    return JsonResponse({"status": "ok"})
