"""The source that long work reads from: the database, through a cache where one is set up."""

from __future__ import annotations

from apps.candles import conf
from apps.candles.sources.base import DataSource
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource


def stored_source() -> DataSource:
    """What is stored, through the cache in ``CANDLES_CACHE_DIR`` where that is set."""
    folder = conf.cache_dir()
    if folder is None:
        return TimescaleSource()
    return CachedSource(TimescaleSource(), folder, limit=conf.cache_limit())
