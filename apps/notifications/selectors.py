"""Reading e-mails."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.notifications import addresses
from apps.notifications.models import Email, SuppressedAddress
from apps.notifications.sending import TEST

Row = TypeVar("Row", bound=models.Model)


def recent(kind: str, within: timedelta) -> QuerySet[Email]:
    """Mails of a kind that were asked for so recently, without those that are tests.

    Nor does a time count that lies ahead by as much: a clock was wrong, and may have been by a year.
    """
    found = Email.objects.filter(kind=kind, created_at__gt=Now() - within, created_at__lt=Now() + within)
    return found.exclude(about__startswith=TEST)


def emails_of(*, user_id: int, state: str = "", kind: str = "") -> QuerySet[Email]:
    """The mails for one user, newest first, without what is in them."""
    found = Email.objects.filter(user=user_id).defer("context", "body", "html")
    if state:
        found = found.filter(state=state)
    return found.filter(kind=kind) if kind else found


def suppressions(*, address: str = "") -> QuerySet[SuppressedAddress]:
    """The addresses to which nothing is sent, newest first."""
    found = SuppressedAddress.objects.filter(lifted_at=None)
    return found.filter(address=addresses.normal(address)) if address else found
