"""The settings of this app, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings


def max_bars() -> int:
    """``BACKTESTS_MAX_BARS``: the most bars of one instrument and timeframe (five years of minutes)."""
    return int(getattr(settings, "BACKTESTS_MAX_BARS", 5 * 366 * 1440))


def max_all_bars() -> int:
    """``BACKTESTS_MAX_ALL_BARS``: the most bars of all instruments, details included (10 million).

    They are what a run holds in memory: about 50 bytes each.
    """
    return int(getattr(settings, "BACKTESTS_MAX_ALL_BARS", 10_000_000))


def max_instruments() -> int:
    """``BACKTESTS_MAX_INSTRUMENTS``: how many instruments one backtest may trade (50)."""
    return int(getattr(settings, "BACKTESTS_MAX_INSTRUMENTS", 50))


def max_work() -> float:
    """``BACKTESTS_MAX_WORK``: the most bars times the strategy's cost for each bar (1e9)."""
    return float(getattr(settings, "BACKTESTS_MAX_WORK", 1e9))


def max_gaps_listed() -> int:
    """``BACKTESTS_MAX_GAPS_LISTED``: how many gaps a refusal lists (100); it always counts all."""
    return int(getattr(settings, "BACKTESTS_MAX_GAPS_LISTED", 100))


def fetch_within() -> timedelta:
    """``BACKTESTS_FETCH_HOURS``: how long a backtest waits for candles that are being fetched (24 hours)."""
    return timedelta(hours=getattr(settings, "BACKTESTS_FETCH_HOURS", 24))


def max_fetch() -> int:
    """``BACKTESTS_MAX_FETCH_MINUTES``: the most minutes that are fetched for one backtest (five years)."""
    return int(getattr(settings, "BACKTESTS_MAX_FETCH_MINUTES", 5 * 366 * 1440))


def max_fetching() -> int:
    """``BACKTESTS_MAX_FETCHING``: the most backtests of one owner that wait for candles (10).

    Of all that is being fetched for an owner, it limits the minutes, to so many times `max_fetch`.
    """
    return int(getattr(settings, "BACKTESTS_MAX_FETCHING", 10))


def max_search() -> int:
    """``BACKTESTS_MAX_SEARCH_MINUTES``: in so many minutes, of all instruments, missing ones are looked for
    while somebody waits for the answer (10 million).
    """
    return int(getattr(settings, "BACKTESTS_MAX_SEARCH_MINUTES", 10_000_000))


def max_compared() -> int:
    """``BACKTESTS_MAX_COMPARED``: how many backtests may be compared at once (10)."""
    return int(getattr(settings, "BACKTESTS_MAX_COMPARED", 10))
