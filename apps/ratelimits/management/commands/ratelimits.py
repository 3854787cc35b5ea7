"""Look at rate limits, try a request against them, and have charges forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.audit.management.acting import acting
from apps.ratelimits.cli import resetting, show, trial
from apps.ratelimits.cli.output import Output

#: By name: what it is for, what adds its arguments, and what does it.
_COMMANDS: dict[str, tuple[str, Callable[[Any], None], Callable[[Mapping[str, Any], Output], None]]] = {
    "show": (show.HELP, show.add_arguments, show.handle),
    "test": (trial.HELP, trial.add_arguments, trial.handle),
    "reset": (resetting.HELP, resetting.add_arguments, resetting.handle),
}


class Command(BaseCommand):
    help = (
        "Look at rate limits, try a request against them, and have charges forgotten. Status 0: done, or it"
        " would be admitted; 1: not done, or it would be denied; 2: the command line is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="command")
        for name, (what, add_arguments, _) in _COMMANDS.items():
            add_arguments(commands.add_parser(name, help=what, description=what))

    def handle(self, *args: Any, **options: Any) -> None:
        _, _, handle = _COMMANDS[options["command"]]
        with acting():
            handle(options, Output(self.stdout))
