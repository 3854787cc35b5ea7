"""The area ``backtests``: the engine against backtesting.py and vectorbt, and what the service adds to it."""

from __future__ import annotations

from tests.benchmarks.backtests.certifying import Certifying
from tests.benchmarks.backtests.compiling import FirstCall, WithoutNumba
from tests.benchmarks.backtests.declared import Declared
from tests.benchmarks.backtests.markets import Finer, Portfolio
from tests.benchmarks.backtests.serving import Service
from tests.benchmarks.backtests.single import FiveYears, Single, SingleVectorbt
from tests.benchmarks.backtests.sweeping import Sweeping, SweepingVectorbt

EXPERIMENTS = [
    Single,
    SingleVectorbt,
    FiveYears,
    Sweeping,
    SweepingVectorbt,
    Declared,
    FirstCall,
    WithoutNumba,
    Portfolio,
    Finer,
    Certifying,
    Service,
]
