"""Read-only links: whoever has one sees the result of one backtest, and nothing else."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.utils import timezone

from apps.backtests.models import HEAVY, Backtest


def backtest_share(*, backtest: Backtest) -> str:
    """A new token for this backtest: 256 random bits, of which only a hash is kept. The one before ends.

    Raises `Backtest.DoesNotExist` when it was deleted meanwhile.
    """
    token = secrets.token_urlsafe(32)
    _set(backtest, _hash(token), timezone.now())
    return token


def backtest_unshare(*, backtest: Backtest) -> None:
    """End the link, if there is one. Raises `Backtest.DoesNotExist` when it was deleted meanwhile."""
    _set(backtest, None, None)


def shared(token: str) -> Backtest | None:
    """The backtest that this token opens, with its light result."""
    found = Backtest.objects.select_related("result").defer(*(f"result__{name}" for name in HEAVY))
    return found.filter(share_hash=_hash(token)).first()


def _set(backtest: Backtest, share_hash: str | None, shared_at: datetime | None) -> None:
    if not Backtest.objects.filter(pk=backtest.pk).update(share_hash=share_hash, shared_at=shared_at):
        raise Backtest.DoesNotExist(f"There is no backtest {backtest.pk} any more.")
    backtest.share_hash, backtest.shared_at = share_hash, shared_at


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
