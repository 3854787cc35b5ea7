"""The area ``trading``: taking signals, and what the audit costs whoever is audited."""

from __future__ import annotations

from tests.benchmarks.trading.auditing import Chained, Recording
from tests.benchmarks.trading.webhooks import AtOnce, InTurn

EXPERIMENTS = [InTurn, AtOnce, Recording, Chained]
