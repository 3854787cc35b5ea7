"""Read-only links: whoever has one sees the result of one backtest, and nothing else."""

from __future__ import annotations

import hashlib
import secrets

from django.utils import timezone

from apps.backtests.models import HEAVY, Backtest


def backtest_share(*, backtest: Backtest) -> str:
    """A new token for this backtest: 256 random bits, of which only a hash is kept. The one before ends."""
    token = secrets.token_urlsafe(32)
    backtest.share_hash, backtest.shared_at = _hash(token), timezone.now()
    backtest.save(update_fields=["share_hash", "shared_at"])
    return token


def backtest_unshare(*, backtest: Backtest) -> None:
    """End the link, if there is one."""
    backtest.share_hash = backtest.shared_at = None
    backtest.save(update_fields=["share_hash", "shared_at"])


def shared(token: str) -> Backtest | None:
    """The backtest that this token opens, with its light result."""
    found = Backtest.objects.select_related("result").defer(*(f"result__{name}" for name in HEAVY))
    return found.filter(share_hash=_hash(token)).first()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
