"""What the least of a middleware does that asks Redis anything."""

from __future__ import annotations

from collections.abc import Callable

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse


class PingMiddleware:
    """Sends a bare PING by redis-py before each request goes on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._client = redis.Redis.from_url(settings.REDIS_URL)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self._client.ping()
        return self._get_response(request)
