"""What a plain worker runs with: a database connection that it keeps, and does not ask after each time."""

from __future__ import annotations

from tests.benchmarks.settings import *  # noqa: F403
from tests.benchmarks.settings import DATABASES

DATABASES = {"default": {**DATABASES["default"], "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False}}
