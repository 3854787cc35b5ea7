"""The area ``candles``: storing, reading and serving candles, and their roll-ups."""

from __future__ import annotations

from tests.benchmarks.candles.writing import Hypertable, Writing, WritingTimescale

EXPERIMENTS = [Writing, WritingTimescale, Hypertable]
