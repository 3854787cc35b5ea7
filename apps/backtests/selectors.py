"""Reading backtests."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from apps.backtests.models import Backtest


def backtests(*, user: AbstractBaseUser | AnonymousUser) -> QuerySet[Backtest]:
    """The backtests that *user* may see, newest first: their own; for staff, all.

    Without their results, which can be megabytes each.
    """
    if getattr(user, "is_staff", False):
        return Backtest.objects.all()
    return Backtest.objects.filter(owner_id=user.pk)
