"""Sources of candles: one protocol, several places.

`TimescaleSource` (the database) lives in `apps.candles.sources.timescale`: it needs Django, which
nothing that is imported here does.
"""

from __future__ import annotations

from apps.candles.sources.base import (
    VALUES,
    BadRange,
    Candles,
    DataSource,
    SourceError,
    Span,
    UnknownInstrument,
    UnknownTimeframe,
)
from apps.candles.sources.disk import DiskSource, export_npz

__all__ = [
    "VALUES",
    "BadRange",
    "Candles",
    "DataSource",
    "DiskSource",
    "SourceError",
    "Span",
    "UnknownInstrument",
    "UnknownTimeframe",
    "export_npz",
]
