"""Reading keys and logins."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from knox.settings import CONSTANTS

from apps.identity.models import ApiKey


def candidates(token: str) -> QuerySet[ApiKey]:
    """The rows, with their users, that a token may be of: nearly always one or none."""
    beginning = token[: CONSTANTS.TOKEN_KEY_LENGTH]
    # No database looks for a null character.
    its = Q(pk__in=[]) if "\0" in beginning else Q(token_key=beginning) | Q(previous_token_key=beginning)
    found: QuerySet[ApiKey] = ApiKey.objects.filter(its).select_related("user")
    return found


def active() -> Q:
    """What keys fulfil that are neither revoked nor expired."""
    return Q(revoked_at__isnull=True) & (Q(expiry__isnull=True) | Q(expiry__gt=timezone.now()))


def keys(*, user: Any) -> QuerySet[ApiKey]:
    """The user's own keys and logins, those that are over included as long as they are kept."""
    found: QuerySet[ApiKey] = ApiKey.objects.filter(user=user)
    return found
