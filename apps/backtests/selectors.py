"""Reading backtests."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from apps.backtests.models import Backtest


def backtests(*, user: AbstractBaseUser | AnonymousUser) -> QuerySet[Backtest]:
    """The backtests that *user* may see, newest first: their own; for staff, all."""
    found = Backtest.objects.select_related("result")
    if getattr(user, "is_staff", False):
        return found
    return found.filter(owner_id=user.pk)
