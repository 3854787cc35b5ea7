"""The settings of brokers, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, name, default)


def _amount(name: str, default: str) -> Decimal:
    given = _setting(name, default)
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount < 10_000:
        raise ImproperlyConfigured(f"{name} must be a number from 0 on, below 10,000, not {given!r}")
    return amount


def timeout() -> float:
    """``ORDERS_BROKER_TIMEOUT``: seconds that an exchange may be silent for before a request failed (10)."""
    return float(_setting("ORDERS_BROKER_TIMEOUT", 10.0))


def settle() -> float:
    """``ORDERS_BROKER_SETTLE``: how long an order that was accepted may stay invisible (25 s).

    Counted from the moment from which the exchange accepts a request no more. A look-up that finds nothing
    after that is proof that there is no order, and lets it be submitted again: too short a time doubles it.
    """
    return float(_setting("ORDERS_BROKER_SETTLE", 25.0))


def paper_slippage() -> Decimal:
    """``ORDERS_PAPER_SLIPPAGE_BPS``: how much worse market orders fill on paper, in basis points (0)."""
    return _amount("ORDERS_PAPER_SLIPPAGE_BPS", "0")


def paper_fee() -> Decimal:
    """``ORDERS_PAPER_FEE``: the fee on paper, as a part of what was paid or earned (0.001)."""
    return _amount("ORDERS_PAPER_FEE", "0.001")
