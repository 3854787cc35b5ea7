"""The settings of brokers, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

#: Seconds of a day, which nothing here may take.
_LONGEST = 86_400.0


def _amount(name: str) -> Decimal:
    given = getattr(settings, name)
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount < 10_000:
        raise ImproperlyConfigured(f"{name} must be a number from 0 on, below 10,000, not {given!r}")
    return amount


def _seconds(name: str, *, least: float = 0.0) -> float:
    given = getattr(settings, name)
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if not least <= seconds < _LONGEST:
        raise ImproperlyConfigured(
            f"{name} must be seconds from {least:g} on, below {_LONGEST:,.0f}, not {given!r}"
        )
    return seconds


def timeout() -> float:
    """``ORDERS_BROKER_TIMEOUT``: seconds that an exchange may be silent for before a request failed (10)."""
    return _seconds("ORDERS_BROKER_TIMEOUT", least=0.001)


def settle() -> float:
    """``ORDERS_BROKER_SETTLE``: how long an order that was accepted may stay invisible (25 s).

    Counted from the moment from which the exchange accepts a request no more. A look-up that finds nothing
    after that is proof that there is no order, and lets it be submitted again: too short a time doubles it.
    """
    return _seconds("ORDERS_BROKER_SETTLE")


def paper_wait() -> timedelta:
    """``ORDERS_PAPER_WAIT``: how long a market order on paper waits for a minute that fills it (600 s)."""
    return timedelta(seconds=_seconds("ORDERS_PAPER_WAIT"))


def paper_slippage() -> Decimal:
    """``ORDERS_PAPER_SLIPPAGE_BPS``: how much worse market orders fill on paper, in basis points (0)."""
    return _amount("ORDERS_PAPER_SLIPPAGE_BPS")


def paper_fee() -> Decimal:
    """``ORDERS_PAPER_FEE``: the fee on paper, as a part of what was paid or earned (0.001)."""
    return _amount("ORDERS_PAPER_FEE")
