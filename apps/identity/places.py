"""Where users sign in from: networks that are known for a while."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from apps.core.resources import sql
from apps.identity.models import KnownPlace

#: For so long after a user signed in from it, a network is one of theirs.
KNOWN_FOR = timedelta(days=30)


def place_remember(*, user_id: int, network: str) -> None:
    """The user signed in from there just now. What was written within the hour is not written again."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "remember_place.sql"), {"user": user_id, "network": network})


def is_known(*, username: str, network: str) -> bool:
    """Whether the user of that name, if there is one, signed in from there lately."""
    known: bool = KnownPlace.objects.filter(
        **{f"user__{get_user_model().USERNAME_FIELD}": username},
        network=network,
        last_at__gt=timezone.now() - KNOWN_FOR,
    ).exists()
    return known
