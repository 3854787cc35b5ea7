from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.stack import environment
from apps.stack.folders import CHECKOUT
from project import bootstrap


class Command(BaseCommand):
    """``manage.py bench [AREA]``: goes on as ``python -m tests.benchmarks``, which has settings of its own.

    Every argument goes there as it is, ``--help`` too, and its exit status is ours.
    """

    help = "Measures the product and its peers side by side on a private stack; status 1: a goal is missed."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        # Settings may have read the addresses of a running demo into the environment: not for measuring.
        os.environ.clear()
        os.environ.update(bootstrap.ORIGINAL_ENVIRONMENT)
        sys.stdout.flush()
        os.chdir(CHECKOUT)
        command = [sys.executable, "-m", "tests.benchmarks", *argv[2:]]
        os.execve(sys.executable, command, environment.inherited())  # noqa: S606

    def handle(self, *args: Any, **options: Any) -> None:
        """Only for ``call_command``, which gives no command line: tells how it is used."""
        self.run_from_argv(["manage.py", "bench", "--help"])
