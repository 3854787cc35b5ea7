"""A server without the product: the same settings and middleware, other views."""

from __future__ import annotations

from tests.benchmarks.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.workload.urls"
