"""Whether a key may be used now, and the record that it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from django.db import connection

from apps.core.networks import Networks
from apps.core.resources import sql
from apps.identity.models import ApiKey

#: How often it is written that a key is used.
_EVERY = timedelta(minutes=1)


def fault(key: ApiKey, *, address: str, now: datetime, previous: bool) -> str:
    """Why whoever has the token of *key* is not let in; empty where nothing is against it.

    *previous*: the token is the one from before the last rotation.
    """
    if key.revoked_at is not None:
        return "This token was revoked."
    if key.is_over(now) or (previous and (key.previous_until is None or key.previous_until <= now)):
        return "This token has expired."
    if key.networks and address not in _networks(tuple(key.networks)):
        return "This token is not taken from this address."
    if not key.user.is_active:
        return "The user is switched off."
    return ""


def used(key: ApiKey, *, address: str, now: datetime) -> None:
    """Record that it is used, unless that was recorded within the last minute or somebody else does it."""
    if key.last_used_at is not None and now - key.last_used_at < _EVERY:
        return
    given = {"key": key.pk, "now": now, "address": address or None, "due": now - _EVERY}
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "use_key.sql"), given)


@lru_cache(maxsize=1024)
def _networks(listed: tuple[str, ...]) -> Networks:
    return Networks(listed)
