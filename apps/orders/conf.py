"""The settings of this app, each with its default. Read when asked for, so that tests may override them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings


def _seconds(name: str) -> timedelta:
    return timedelta(seconds=float(getattr(settings, name)))


def plans() -> Mapping[str, Mapping[str, Any]]:
    """``ORDERS_PLANS``: name -> ``simulation_only``, ``daily_orders`` (of an account on a day, UTC)."""
    plans: Mapping[str, Mapping[str, Any]] = settings.ORDERS_PLANS
    return plans


def market_max_age(*, simulation: bool) -> timedelta:
    """``ORDERS_MARKET_MAX_AGE``: a market order that was asked for longer ago is not sent any more (300 s).

    The price is another by then. The age of exits and of close legs counts from when it was looked up what
    is held, not from their signal: being late they are wanted all the more.
    """
    return _seconds("ORDERS_MARKET_MAX_AGE") + paper_wait(simulation=simulation)


def submit_limit(*, simulation: bool) -> timedelta:
    """``ORDERS_SUBMIT_LIMIT``: an order that no broker took for so long is rejected (900 s)."""
    return _seconds("ORDERS_SUBMIT_LIMIT") + paper_wait(simulation=simulation)


def verify_first() -> timedelta:
    """``ORDERS_VERIFY_FIRST``: from a submission to the first look; the waits then double (30 s)."""
    return _seconds("ORDERS_VERIFY_FIRST")


def unknown_first() -> timedelta:
    """``ORDERS_UNKNOWN_FIRST``: the same for a submission without an answer (5 s)."""
    return _seconds("ORDERS_UNKNOWN_FIRST")


def verify_longest() -> timedelta:
    """``ORDERS_VERIFY_LONGEST``: the longest wait for a look, and between looks at resting orders (900 s)."""
    return _seconds("ORDERS_VERIFY_LONGEST")


def verify_looks() -> int:
    """``ORDERS_VERIFY_LOOKS``: after so many looks in a row that led nowhere a person has to look (10).

    A look that the broker did not answer does not count, nor one that found a limit order open, or any order
    on paper.
    """
    return int(settings.ORDERS_VERIFY_LOOKS)


def reversal_limit(*, simulation: bool) -> timedelta:
    """``ORDERS_REVERSAL_LIMIT``: how long a reversal's entry waits for its close leg to be filled (30 s)."""
    return _seconds("ORDERS_REVERSAL_LIMIT") + paper_wait(simulation=simulation)


def settle_limit(*, simulation: bool) -> timedelta:
    """``ORDERS_SETTLE_LIMIT``: how old a market order under way may be for a signal to wait for it (60 s)."""
    return _seconds("ORDERS_SETTLE_LIMIT") + paper_wait(simulation=simulation)


def paper_wait(*, simulation: bool) -> timedelta:
    """``ORDERS_PAPER_WAIT``: what all limits are longer by on paper, where minutes fill orders (600 s).

    A minute that fills an order begins after it, and is known when it has ended and was fetched.
    """
    return _seconds("ORDERS_PAPER_WAIT") if simulation else timedelta(0)


def exchanges() -> list[str]:
    """``EXCHANGE_URLS``: the exchanges at which there may be accounts."""
    return sorted(settings.EXCHANGE_URLS)
