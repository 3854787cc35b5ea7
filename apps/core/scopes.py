"""What a credential that is no whole login may do: areas of the API, each to be read or written.

A scope is ``<area>:read`` or ``<area>:write``; who may write may read. Credentials say what they were granted
by an attribute ``granted``; those without it, and sessions, may do all that their user may.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rest_framework.exceptions import PermissionDenied

#: Area -> the first parts, behind ``api/v1/``, of the addresses that belong to it.
AREAS: Mapping[str, tuple[str, ...]] = {
    "accounts": ("accounts",),
    "orders": ("orders", "positions", "fills"),
    "webhooks": ("webhooks",),
    "backtests": ("backtests", "sweeps", "strategies", "shared"),
    "candles": ("candles", "instruments", "backfills"),
    "tasks": ("tasks", "periodic", "batches"),
    "workers": ("workers",),
    "notifications": ("notifications",),
    "audit": ("audit",),
    "metrics": ("metrics",),
}
#: Areas in which nothing can be written.
READ_ONLY = frozenset({"audit", "metrics"})
#: Every scope that can be granted.
SCOPES = tuple(
    f"{area}:{kind}"
    for area in AREAS
    for kind in ("read", "write")
    if kind == "read" or area not in READ_ONLY
)
#: What any credential may ask for.
_OPEN = frozenset({"api/v1/", "api/v1/auth/me"})
#: What is asked for with none of them: users, their passwords, logins and keys.
_CLOSED = "auth"
_AREA_OF = {part: area for area, parts in AREAS.items() for part in parts}
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class InsufficientScope(PermissionDenied):
    """The credential was not granted what this needs (403)."""

    default_code = "insufficient-scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This key does not have the scope {scope}.")
        self.members = {"required_scope": scope}


def is_classified(route: str) -> bool:
    """Whether it has been said who may ask for what is at *route*: without that, no key is let in."""
    return route in _OPEN or _part(route) == _CLOSED or _part(route) in _AREA_OF


def required(route: str, method: str) -> str | None:
    """The scope that a request needs; empty: none, any key will do. Null: no key will.

    *route* is the address's pattern without the slash before it, as Django's resolver has it.
    """
    if route in _OPEN:
        return ""
    area = _AREA_OF.get(_part(route))
    if area is None:
        return None
    return f"{area}:{'read' if method in _READS or area in READ_ONLY else 'write'}"


def check(credential: Any, route: str, method: str) -> None:
    """Raises `InsufficientScope`, or `PermissionDenied` where no key is let in whatever it was granted."""
    granted: Collection[str] | None = getattr(credential, "granted", None)
    if granted is None:
        return
    scope = required(route, method)
    if scope is None:
        raise PermissionDenied("API keys are not taken here: sign in.")
    if scope and not {scope, f"{scope.partition(':')[0]}:write"} & set(granted):
        raise InsufficientScope(scope)


def _part(route: str) -> str:
    return route.removeprefix("api/v1/").partition("/")[0]
