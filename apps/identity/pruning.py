"""Deleting what is over and was kept for the record."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from apps.core.resources import sql
from apps.identity import conf
from apps.identity.models import KnownPlace
from apps.identity.places import KNOWN_FOR

#: Rows that are deleted in one transaction.
_BATCH = 5000


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """How many rows were deleted."""

    keys: int
    places: int


def prune() -> Pruned:
    """Delete keys and logins that are over since ``API_KEYS_KEPT_DAYS``, and places not known any more."""
    kept, keys = conf.kept(), 0
    while kept is not None:
        with connection.cursor() as cursor:
            before = timezone.now() - kept
            cursor.execute(sql(__package__, "prune_keys.sql"), {"before": before, "limit": _BATCH})
            deleted = int(cursor.rowcount)
        keys += deleted
        if deleted < _BATCH:
            break
    places, _ = KnownPlace.objects.filter(last_at__lt=timezone.now() - KNOWN_FOR).delete()
    return Pruned(keys=keys, places=places)
