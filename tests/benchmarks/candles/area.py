"""The area ``candles``: storing, reading and serving candles, and their roll-ups."""

from __future__ import annotations

from tests.benchmarks.candles.compressing import Compressing, CompressingIncremental, Materialising
from tests.benchmarks.candles.gaps import Gaps, GapsTimescale
from tests.benchmarks.candles.late import Late, LateAggregates, LateCompressed, LateIncremental
from tests.benchmarks.candles.reading import Cached, Reading, ReadingTimescale
from tests.benchmarks.candles.refreshing import Live, LiveAggregates, LiveIncremental, Refreshing
from tests.benchmarks.candles.rolled import Rolled, RolledTimescale
from tests.benchmarks.candles.serving import Arrow, LastHours
from tests.benchmarks.candles.writing import Hypertable, Writing, WritingTimescale

EXPERIMENTS = [
    Writing,
    WritingTimescale,
    Hypertable,
    Reading,
    ReadingTimescale,
    Cached,
    Arrow,
    LastHours,
    Rolled,
    RolledTimescale,
    Refreshing,
    Late,
    LateAggregates,
    LateIncremental,
    LateCompressed,
    Live,
    LiveIncremental,
    LiveAggregates,
    Gaps,
    GapsTimescale,
    Compressing,
    CompressingIncremental,
    Materialising,
]
