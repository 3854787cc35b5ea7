"""The settings of this app, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, name, default)


def chunk() -> timedelta:
    """``CANDLES_CHUNK_DAYS``: how much of a backfill one task fetches and writes (3 days)."""
    return timedelta(days=_setting("CANDLES_CHUNK_DAYS", 3))


def max_backfill() -> timedelta:
    """``CANDLES_MAX_BACKFILL_DAYS``: the longest range that one backfill may ask for (400 days)."""
    return timedelta(days=_setting("CANDLES_MAX_BACKFILL_DAYS", 400))


def sync_lookback() -> timedelta:
    """``CANDLES_SYNC_LOOKBACK_HOURS``: how far back the sync reaches at most (6 hours)."""
    return timedelta(hours=_setting("CANDLES_SYNC_LOOKBACK_HOURS", 6))


def default_bars() -> int:
    """``CANDLES_DEFAULT_BARS``: the bars of each instrument that the API answers without a start (500)."""
    return int(_setting("CANDLES_DEFAULT_BARS", 500))


def max_bars() -> int:
    """``CANDLES_MAX_BARS``: the most bars in one answer in JSON, over all its instruments (10,000)."""
    return int(_setting("CANDLES_MAX_BARS", 10_000))


def max_file_bars() -> int:
    """``CANDLES_MAX_FILE_BARS``: the same for CSV, Arrow and npz (600,000: a year of minutes)."""
    return int(_setting("CANDLES_MAX_FILE_BARS", 600_000))


def max_series() -> int:
    """``CANDLES_MAX_SERIES``: how many instruments one request for candles or prices may name (50)."""
    return int(_setting("CANDLES_MAX_SERIES", 50))


def settle() -> timedelta:
    """``CANDLES_SETTLE_SECONDS``: how long a bar whose last minute is missing counts as forming (120 s)."""
    return timedelta(seconds=_setting("CANDLES_SETTLE_SECONDS", 120))


def stale() -> timedelta:
    """``CANDLES_STALE_SECONDS``: the age from which a latest price is called stale (300 s)."""
    return timedelta(seconds=_setting("CANDLES_STALE_SECONDS", 300))


def max_upload_bytes() -> int:
    """``CANDLES_MAX_UPLOAD_MB``: the largest body of an upload, in bytes (32 MB)."""
    return int(_setting("CANDLES_MAX_UPLOAD_MB", 32)) * 1_000_000


def max_upload_rows() -> int:
    """``CANDLES_MAX_UPLOAD_ROWS``: the most rows in one upload (200,000)."""
    return int(_setting("CANDLES_MAX_UPLOAD_ROWS", 200_000))


def exchange_urls() -> dict[str, str | None]:
    """``EXCHANGE_URLS``: the exchanges there are, each with the address that replaces its own, or None."""
    return dict(_setting("EXCHANGE_URLS", {"binance": None, "bybit": None, "kraken": None}))


def rollups() -> str:
    """``CANDLES_ROLLUPS``: who keeps roll-ups on TimescaleDB: ``continuous_aggregates``, ``incremental``."""
    return str(_setting("CANDLES_ROLLUPS", "continuous_aggregates"))


def retention() -> timedelta | None:
    """``CANDLES_RETENTION_DAYS``: for how long minutes are kept (None: for good). Roll-ups stay."""
    days = _setting("CANDLES_RETENTION_DAYS", None)
    return None if days is None else timedelta(days=days)


def cache_dir() -> str | None:
    """``CANDLES_CACHE_DIR``: the folder for workers' copies of months they have read (None: no copies)."""
    return _setting("CANDLES_CACHE_DIR", None) or None


def cache_limit() -> int:
    """``CANDLES_CACHE_MB``: how much these copies may take, in bytes (2,048 MB)."""
    return int(_setting("CANDLES_CACHE_MB", 2048)) * 1_000_000


def exchange_limits() -> dict[str, dict[str, int]]:
    """``CANDLES_EXCHANGE_LIMITS``: tasks at a time and requests a minute, by exchange (what suits each)."""
    limits: dict[str, dict[str, int]] = _setting("CANDLES_EXCHANGE_LIMITS", {})
    if not isinstance(limits, dict) or not all(map(_is_limit, limits.values())):
        raise ImproperlyConfigured(
            'CANDLES_EXCHANGE_LIMITS must be like {"binance": {"concurrency": 8, "rate": 2400}},'
            f" with whole numbers from 1 on, not {limits!r}"
        )
    return limits


def _is_limit(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and given.keys() <= {"concurrency", "rate"}
        and all(type(number) is int and number > 0 for number in given.values())
    )


def refresh_after() -> timedelta:
    """``CANDLES_REFRESH_AFTER``: how long roll-ups wait at most for the last chunk of a backfill (900 s)."""
    return timedelta(seconds=_setting("CANDLES_REFRESH_AFTER", 900))


def compress_after() -> timedelta:
    """``CANDLES_COMPRESS_AFTER_DAYS``: how old a chunk is when TimescaleDB compresses it (7 days)."""
    return timedelta(days=_setting("CANDLES_COMPRESS_AFTER_DAYS", 7))


def chunk_interval() -> timedelta | None:
    """``CANDLES_CHUNK_INTERVAL_DAYS``: what a chunk spans (None: by how many instruments are followed)."""
    days = _setting("CANDLES_CHUNK_INTERVAL_DAYS", None)
    return None if days is None else timedelta(days=days)


def refresh_window() -> timedelta:
    """``CANDLES_REFRESH_WINDOW_DAYS``: how far back TimescaleDB's own policies look for changes (30 days)."""
    return timedelta(days=_setting("CANDLES_REFRESH_WINDOW_DAYS", 30))
