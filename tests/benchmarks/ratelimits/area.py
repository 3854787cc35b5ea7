"""The area ``ratelimits``: decisions, what is kept of them, and what they cost a request."""

from __future__ import annotations

from tests.benchmarks.ratelimits.admitting import Admitting, AdmittingByDrf
from tests.benchmarks.ratelimits.deciding import (
    DecidingLikeDjangoRatelimit,
    DecidingLikeDrf,
    DecidingLikeLimits,
    DecidingLikePing,
)
from tests.benchmarks.ratelimits.gathering import Gathering
from tests.benchmarks.ratelimits.keeping import Keeping
from tests.benchmarks.ratelimits.serving import Denying, Serving, ServingThroughAll
from tests.benchmarks.ratelimits.stalling import Stalling

EXPERIMENTS = [
    DecidingLikePing,
    DecidingLikeLimits,
    DecidingLikeDjangoRatelimit,
    DecidingLikeDrf,
    Gathering,
    Keeping,
    Serving,
    ServingThroughAll,
    Denying,
    Stalling,
    Admitting,
    AdmittingByDrf,
]
