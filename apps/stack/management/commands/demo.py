from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.stack import demo
from apps.stack.console import Console
from apps.stack.errors import StackError
from project import bootstrap


class Command(BaseCommand):
    """``manage.py demo``: start everything, run the main job, stay up until Ctrl-C."""

    help = "Starts the whole product on the embedded stack, runs its main job and stays up until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--exit", action="store_true", help="stop after the summary, with its status")
        parser.add_argument(
            "--candles",
            type=Path,
            metavar="FILE",
            help="minutes that the simulated exchange replays: a csv.gz with the columns open_time, open, "
            "high, low, close, volume",
        )
        parser.add_argument("--port", type=int, help="of the web server (default: 8000, or a free one)")
        parser.add_argument("--days", type=int, default=30, help="of candles to ingest (default: 30)")

    def handle(self, *args: Any, **options: Any) -> None:
        # Settings read the addresses that a killed demo left: they must not pass for the caller's.
        module = os.environ["DJANGO_SETTINGS_MODULE"]
        os.environ.clear()
        os.environ.update(bootstrap.ORIGINAL_ENVIRONMENT)
        console = Console(show_logs=options["verbosity"] > 1)
        try:
            status = demo.run(
                demo.Options(
                    leave=options["exit"],
                    candles=options["candles"],
                    port=options["port"],
                    days=options["days"],
                    show_logs=options["verbosity"] > 1,
                    given=bootstrap.ORIGINAL_ENVIRONMENT,
                    queues=[settings.SQS_QUEUE_PREFIX + name for name in settings.TASKS_QUEUES],
                    settings=module,
                ),
                console,
            )
        except (StackError, OSError) as error:
            console.say(f"cannot start: {error}")
            status = 1
        except KeyboardInterrupt:
            status = 130
        sys.exit(status)
