"""What tests of identity share."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from django.test import Client

API = "/api/v1/auth/"
PASSWORD = "correct-Horse-7"


def send(web: Client, method: str, address: str, body: Any = None, **more: Any) -> Any:
    """A request with a body in JSON, if there is one, to an address under `API`, or anywhere."""
    address = address if address.startswith("/") else f"{API}{address}"
    return web.generic(method, address, "" if body is None else json.dumps(body), "application/json", **more)


def bearing(token: str, scheme: str = "Bearer", **more: Any) -> Client:
    """A client that comes with a token."""
    return Client(headers={"Authorization": f"{scheme} {token}"}, **more)


def basic(name: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


def problem(response: Any) -> tuple[int, str, str]:
    """Status, type and words of a problem."""
    body = response.json()
    return response.status_code, body["type"].removeprefix("/problems/"), body["detail"]


def key_of(user: Any, *scopes: str, **more: Any) -> Any:
    """A new key, issued, and its token."""
    from apps.identity.services import key_create

    return key_create(user=user, name="k", scopes=scopes or ("orders:read",), by="test", **more)
