"""Whether the client came by TLS, where a proxy has ended that."""

from __future__ import annotations

from django.http import HttpRequest

from apps.core import conf
from apps.core.answering import HeaderMiddleware
from apps.core.forwarding import scheme_of

#: Where ``SECURE_PROXY_SSL_HEADER`` has Django look. No header of a client's is found under it.
KEY = "FORWARDED_SCHEME"


class SchemeMiddleware(HeaderMiddleware):
    """Passes on which scheme the client used, where a trusted proxy says so; from others it is not taken."""

    def before(self, request: HttpRequest) -> None:
        trusted = conf.trusted_proxies()
        if not trusted:
            return
        scheme = scheme_of(request.META, trusted=trusted, header=conf.forwarded_header())
        if scheme:
            request.META[KEY] = scheme
