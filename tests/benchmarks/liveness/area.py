"""The area ``liveness``: leases in a sorted set against a key for each worker, which are looked for by SCAN."""

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
