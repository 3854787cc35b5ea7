"""The tasks, live."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.live import Live

from apps.tasks.cli import tables
from apps.tasks.top.screen import screen
from apps.tasks.top.snapshot import Snapshot, Watch

#: Lines where the output is no terminal.
_LONG = 100


def _interval(text: str) -> float:
    seconds = float(text)
    if seconds < 0.1:
        raise ValueError("shorter than 0.1 s")
    return seconds


class Command(BaseCommand):
    help = "Queues, rates, running runs and failures, live; until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--interval", type=_interval, default=2.0, help="seconds between two looks (2)")
        parser.add_argument("--once", action="store_true", help="one look, and end")
        parser.add_argument("--json", action="store_true", dest="as_json", help="a line of JSON per look")

    def handle(self, *args: Any, **options: Any) -> None:
        # What is drawn comes with its own line ends, and a further one would scroll the screen.
        self.stdout.ending = ""
        watch = Watch()
        once = options["once"]
        try:
            if options["as_json"]:
                self._lines(watch, once, options["interval"])
                return
            console = tables.console(self.stdout)
            if once or not console.is_terminal:
                console.print(screen(watch.look(), height=_LONG))
            else:
                self._live(watch, console, options["interval"])
        except KeyboardInterrupt:
            return

    def _lines(self, watch: Watch, once: bool, interval: float) -> None:
        while True:
            self.stdout.write(json.dumps(_shown(watch.look()), cls=DjangoJSONEncoder) + "\n")
            self.stdout.flush()
            if once:
                return
            time.sleep(interval)

    def _live(self, watch: Watch, console: Console, interval: float) -> None:
        def draw() -> Any:
            return screen(watch.look(), height=console.height)

        with Live(draw(), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval)
                live.update(draw(), refresh=True)


def _shown(seen: Snapshot) -> dict[str, Any]:
    shown = asdict(seen)
    for run, plain in zip(seen.running, shown["running"], strict=True):
        plain["left"] = run.left
    for queue in shown["queues"]:
        del queue["task"]
    return shown
