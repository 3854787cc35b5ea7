"""Headers that every answer has, whoever gives it: what it denies to pages elsewhere and to caches."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core.answering import HeaderMiddleware

_SAFE = ("GET", "HEAD", "OPTIONS")
_EVERYWHERE = "*"
#: What no page of this product asks a browser for, and so no script on one may.
_PERMISSIONS = ", ".join(
    f"{name}=()"
    for name in (
        *("accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen"),
        *("geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment"),
        *("publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
    )
)


class HeadersMiddleware(HeaderMiddleware):
    """Adds ``Permissions-Policy``, ``Cross-Origin-Resource-Policy`` and ``Cache-Control`` where they are not.

    What the API tells a caller who showed a credential is for that caller's own cache at most, and what a
    write is answered with, such as a secret that is shown once, for none. Answers that say so themselves are
    left as they are.
    """

    def after(self, request: HttpRequest, response: HttpResponse) -> None:
        headers = response.headers
        headers.setdefault("Permissions-Policy", _PERMISSIONS)
        is_open = headers.get("Access-Control-Allow-Origin") == _EVERYWHERE
        headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if is_open else "same-origin")
        is_api = request.path_info.startswith("/api/")
        if is_api and "Cache-Control" not in headers and _is_somebodys(request):
            is_read = request.method in _SAFE
            headers["Cache-Control"] = "private" if is_read else "private, no-store"


def _is_somebodys(request: HttpRequest) -> bool:
    """Whether the request shows a credential, right or wrong."""
    return "HTTP_AUTHORIZATION" in request.META or settings.SESSION_COOKIE_NAME in request.COOKIES
