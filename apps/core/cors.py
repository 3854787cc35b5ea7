"""Which pages of other origins may read the API: those that the settings name."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from corsheaders.conf import conf
from corsheaders.middleware import CorsMiddleware as UpstreamCorsMiddleware
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class CorsMiddleware(UpstreamCorsMiddleware):
    """django-cors-headers, which is not there at all where no origin is allowed.

    The preflight of an allowed origin is answered here. Any other is a request like all others.
    """

    def __init__(self, get_response: Any) -> None:
        if not (conf.CORS_ALLOWED_ORIGINS or conf.CORS_ALLOWED_ORIGIN_REGEXES):
            raise MiddlewareNotUsed
        super().__init__(get_response)

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        answer = super().check_preflight(request)
        return answer if answer is not None and self._is_allowed(request) else None

    def _is_allowed(self, request: HttpRequest) -> bool:
        origin = request.headers.get("Origin", "")
        try:
            return self.origin_found_in_white_lists(origin, urlsplit(origin))
        except ValueError:
            return False
