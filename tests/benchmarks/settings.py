"""The benchmarks: the product's own settings on the servers of the run, with a workload."""

from __future__ import annotations

from project.settings.base import *  # noqa: F403
from project.settings.base import INSTALLED_APPS

SECRET_KEY = "benchmarks"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [*INSTALLED_APPS, "apps.stack", "tests.benchmarks.workload"]
