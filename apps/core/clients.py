"""Where requests come from."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from apps.core import conf
from apps.core.addresses import usual_form
from apps.core.forwarding import client_of


def client_address(request: HttpRequest) -> str:
    """The IP address of the client, in its usual form; empty where the connection has none.

    It is that of the connection, unless a trusted proxy says whom it stands for: see `forwarding`.
    """
    trusted = conf.trusted_proxies()
    if not trusted:
        # As nearly everywhere: every request asks for it.
        return usual_form(request.META.get("REMOTE_ADDR", ""))
    return client_of(request.META, trusted=trusted, header=conf.forwarded_header())


def actor_of(request: HttpRequest | Request) -> str:
    """``user:<id>`` of the user who makes the request; empty where nobody has signed in."""
    return f"user:{request.user.pk}" if request.user.is_authenticated else ""
