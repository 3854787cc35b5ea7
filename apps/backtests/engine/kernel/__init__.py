"""The event loop of a simulation, and where it keeps what it knows."""

from __future__ import annotations

from apps.backtests.engine.kernel.fills import leave as leave
from apps.backtests.engine.kernel.layout import *  # noqa: F403
from apps.backtests.engine.kernel.loop import simulate as simulate
