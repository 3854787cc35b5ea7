"""What is told of every HTTP request: a log line, figures, and a span."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject, empty
from prometheus_client import Counter, Gauge, Histogram

from apps.core import logs, paths, tracing
from apps.core.answering import EitherStack
from apps.core.clients import client_address
from apps.core.instruments import Instrument

logger = logging.getLogger(__name__)

REQUESTS = Instrument(
    Counter, "chandlery_http_requests", "Requests that were answered", "method", "route", "status"
)
DURATION = Instrument(
    Histogram,
    "chandlery_http_request_duration_seconds",
    "From the arrival of a request to its answer",
    "method",
    "route",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
IN_PROGRESS = Instrument(
    Gauge,
    "chandlery_http_requests_in_progress",
    "Requests that are being answered",
    multiprocess_mode="livesum",
)

#: Routes that somebody asks every few seconds, of which nothing is logged unless they fail.
_QUIET = frozenset({"healthz", "readyz", "metrics", "static"})
#: Paths that are answered before anything is routed, by the names that they have without their slash.
_UNROUTED = frozenset({"/healthz", "/readyz"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessMiddleware(EitherStack):
    """Tells of every request when it has been answered; stands right after the one that binds its ids."""

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self._is_async:
            return self._acall(request)
        with _watched(request) as answered:
            response = cast("HttpResponse", self.get_response(request))
            answered(response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        with _watched(request) as answered:
            response = await cast("Awaitable[HttpResponse]", self.get_response(request))
            answered(response)
        return response


@contextmanager
def _watched(request: HttpRequest) -> Iterator[Callable[[HttpResponse], None]]:
    """Within the block the request is being answered. What is given is to be called with the answer."""
    begun = time.perf_counter()
    method = str(request.method) if request.method in _METHODS else "other"
    in_progress = IN_PROGRESS.metric
    in_progress.inc()
    try:
        with tracing.span(
            method,
            kind="SERVER",
            parent=tracing.sound(request.headers.get("traceparent", "")),
            http__request__method=method,
        ) as span:

            def answered(response: HttpResponse) -> None:
                route, status = _route(request), response.status_code
                span.rename(f"{method} {route}")
                span.set(http__route=route, http__response__status_code=status)
                if status >= 500:
                    span.fail()
                seconds = time.perf_counter() - begun
                if route not in _QUIET or status >= 500:
                    _log(request, response, route, seconds)
                REQUESTS.of(method, route, str(status)).inc()
                DURATION.of(method, route).observe(seconds)

            yield answered
    finally:
        in_progress.dec()


def _route(request: HttpRequest) -> str:
    """The name of the route that the request was led to; where it has none, what it looks like."""
    found = request.resolver_match
    if found is not None:
        return found.view_name if found.url_name else found.route or "/"
    if request.path_info in _UNROUTED:
        return request.path_info[1:]
    return "static" if request.path_info.startswith(f"/{settings.STATIC_URL.strip('/')}/") else "none"


def _log(request: HttpRequest, response: HttpResponse, route: str, seconds: float) -> None:
    status = response.status_code
    level = logging.ERROR if status >= 500 else logging.WARNING if status >= 400 else logging.INFO
    logger.log(
        level,
        "request answered",
        extra=logs.fields(
            method=request.method,
            route=route,
            path=paths.told(request),
            status=status,
            duration_ms=round(seconds * 1000, 1),
            bytes=None if response.streaming else len(response.content),
            address=client_address(request),
            user=_user(request),
        ),
    )


def _user(request: HttpRequest) -> int | None:
    """The id of who asked, if anything wanted to know that meanwhile."""
    user = request.__dict__.get("user")
    if isinstance(user, SimpleLazyObject) and user.__dict__.get("_wrapped") is empty:
        return None
    return getattr(user, "pk", None)
