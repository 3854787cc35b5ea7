"""What tests of limits on requests share: groups, and what answers say."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase

from apps.identity.models import ApiKey

Rules = dict[str, dict[str, Any]]


def group(name: str, rules: Rules | None = None, **more: Any) -> dict[str, Any]:
    """A group as the settings have it."""
    return {"name": name, **({"rules": rules} if rules else {}), **more}


def by_address(rate: str, **more: Any) -> dict[str, Any]:
    return {"by": "address", "rate": rate, **more}


def by_user(rate: str, **more: Any) -> dict[str, Any]:
    return {"by": "user", "rate": rate, **more}


def left(response: HttpResponseBase) -> dict[str, int]:
    """What the header ``RateLimit`` says is left, by policy."""
    text = response.headers.get("RateLimit", "")
    found = {}
    for one in filter(None, text.split(", ")):
        name, remaining = one.split(";")[:2]
        found[name.strip('"')] = int(remaining.removeprefix("r="))
    return found


def statuses(client: Any, path: str, times: int, **extra: Any) -> list[int]:
    return [client.get(path, **extra).status_code for _ in range(times)]


def token_of(user: Any) -> str:
    """A new API token."""
    return ApiKey.objects.create(user)[1]


def bearing(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Token {token}"}
