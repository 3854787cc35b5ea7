"""What operators see of candles in Django's admin, and what they can do there."""

from __future__ import annotations

from apps.candles.admin import backfills, exchanges, gaps, instruments, quarantine

__all__ = ["backfills", "exchanges", "gaps", "instruments", "quarantine"]
