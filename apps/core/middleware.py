"""Binds the request, and who makes it, to the context that events, logs and the audit carry."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core import context
from apps.core.clients import actor_of, client_address
from apps.core.ids import uuid7

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
#: Characters of a User-Agent that are kept.
_USER_AGENT = 256


class RequestContextMiddleware:
    """Gives every request an id, takes over a well-formed ``X-Request-ID``, and returns it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else str(uuid7())
        with context.bind(
            request_id=request_id,
            correlation_id=request_id,
            address=client_address(request),
            user_agent=request.headers.get("User-Agent", "")[:_USER_AGENT],
        ):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class ActorMiddleware:
    """Names who acts in requests that come with a session; stands after the authentication.

    The session and its user are read only where something asks who acts, and never for requests without a
    session's cookie. API views name their caller themselves, however it was authenticated.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self.get_response(request)
        with context.actor_from(lambda: actor_of(request)):
            return self.get_response(request)
