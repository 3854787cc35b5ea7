"""The area ``liveness``: leases in a sorted set against one key for each worker and SCAN."""

from __future__ import annotations

from tests.benchmarks.liveness.beating import Beating, BeatingMany
from tests.benchmarks.liveness.finding import Finding, FindingAmongOthers, FindingTheFirst, ReapingNone

EXPERIMENTS = [
    Finding,
    FindingAmongOthers,
    FindingTheFirst,
    ReapingNone,
    Beating,
    BeatingMany,
]
