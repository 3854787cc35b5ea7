"""Where requests come from."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request

from apps.core.addresses import usual_form


def client_address(request: HttpRequest) -> str:
    """The IP address of the client, in its usual form; empty where the connection has none."""
    return usual_form(request.META.get("REMOTE_ADDR", ""))


def actor_of(request: HttpRequest | Request) -> str:
    """``user:<id>`` of the user who makes the request; empty where nobody has signed in."""
    return f"user:{request.user.pk}" if request.user.is_authenticated else ""
