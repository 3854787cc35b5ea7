"""Binds the request, and who makes it, to the context that events, logs and the audit carry."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core import context
from apps.core.answering import EitherStack
from apps.core.clients import actor_of, client_address
from apps.core.ids import uuid7

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
#: Characters of a User-Agent that are kept.
_USER_AGENT = 256


class RequestContextMiddleware(EitherStack):
    """Gives every request an id, takes over a well-formed ``X-Request-ID``, and returns it.

    Stands before all others, so that every answer has the id. Works in either kind of stack without changing
    threads.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self._is_async:
            return self._acall(request)
        with _bound(request) as known:
            response = cast("HttpResponse", self.get_response(request))
        response["X-Request-ID"] = known.request_id
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        with _bound(request) as known:
            response = await cast("Awaitable[HttpResponse]", self.get_response(request))
        response["X-Request-ID"] = known.request_id
        return response


def _bound(request: HttpRequest) -> AbstractContextManager[context.Context]:
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _ACCEPTABLE_ID.fullmatch(given) else str(uuid7())
    return context.bind(
        request_id=request_id,
        correlation_id=request_id,
        address=client_address(request),
        user_agent=request.headers.get("User-Agent", "")[:_USER_AGENT],
    )


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
