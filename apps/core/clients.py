"""Where requests come from."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from django.http import HttpRequest
from rest_framework.request import Request


def client_address(request: HttpRequest) -> str:
    """The IP address of the client, in its usual form; empty where the connection has none.

    IPv4 addresses mapped into IPv6 are written as IPv4, and zones (``%eth0``) are left out.
    """
    return usual_form(request.META.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=4096)
def usual_form(address: str) -> str:
    """*address* as every part of the product writes it; empty for what is no IP address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def actor_of(request: HttpRequest | Request) -> str:
    """``user:<id>`` of the user who makes the request; empty where nobody has signed in."""
    return f"user:{request.user.pk}" if request.user.is_authenticated else ""
