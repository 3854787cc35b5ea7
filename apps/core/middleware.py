"""Binds the request to the context that events and logs carry."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.core import context
from apps.core.ids import uuid7

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


class RequestContextMiddleware:
    """Gives every request an id, takes over a well-formed ``X-Request-ID``, and returns it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else str(uuid7())
        with context.bind(request_id=request_id, correlation_id=request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response
