"""The benchmarks: the product's own settings on the servers of the run, with a workload."""

from __future__ import annotations

import os
from typing import Any

from project.settings.base import *  # noqa: F403
from project.settings.base import INSTALLED_APPS
from project.settings.base import LOGGING as _LOGGING
from project.settings.base import RATELIMITS_GROUPS as _GROUPS

SECRET_KEY = "benchmarks"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [*INSTALLED_APPS, "apps.stack", "tests.benchmarks.workload"]
# More is asked than anybody may: everything is counted as ever, and nothing denied.
RATELIMITS_GROUPS = [
    {
        **group,
        "rules": {
            name: {**rule, "rate": "4000000/m", "plans": {}} for name, rule in group.get("rules", {}).items()
        },
    }
    for group in _GROUPS
]
# Lines of requests are made as ever, for they are part of what a request costs, and seen by nobody.
LOGGING: dict[str, Any] = {
    **_LOGGING,
    "handlers": {
        **_LOGGING["handlers"],
        "unseen": {
            "class": "logging.FileHandler",
            "filename": os.devnull,
            "formatter": "lines",
            "filters": ["tokens"],
        },
    },
    "loggers": {**_LOGGING["loggers"], "apps.core.access": {"handlers": ["unseen"], "propagate": False}},
}
