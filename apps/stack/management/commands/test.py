from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.stack import testrun
from apps.stack.errors import StackError
from project import bootstrap


def _say(text: str) -> None:
    print(f"[stack] {text}", file=sys.stderr, flush=True)


class Command(BaseCommand):
    """``manage.py test [pytest arguments]``: the whole suite on a private stack of real servers.

    Every argument goes to pytest as it is, ``--help`` too, and pytest's exit status is ours.
    """

    help = "Runs pytest on a private stack of PostgreSQL, Valkey, SQS, SMTP and a simulated exchange."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        # Settings may have read the addresses of a running demo into the environment: not for tests.
        os.environ.clear()
        os.environ.update(bootstrap.ORIGINAL_ENVIRONMENT)
        try:
            status = testrun.run(
                argv[2:],
                queues=[settings.SQS_QUEUE_PREFIX + name for name in settings.TASKS_QUEUES],
                given=bootstrap.ORIGINAL_ENVIRONMENT,
                settings="project.settings.test",
                say=_say,
            )
        except (StackError, OSError) as error:
            _say(f"cannot start: {error}")
            status = 1
        except KeyboardInterrupt:
            status = 130
        sys.exit(status)

    def handle(self, *args: Any, **options: Any) -> None:
        """Only for ``call_command``, which gives no command line: runs everything."""
        self.run_from_argv(["manage.py", "test"])
