"""Fetch, import, export, look after and compare candles."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.candles.cli import arguments, backfills, exports, gaps, imports, markets, syncing, verifying
from apps.candles.cli.output import Output
from apps.core import context

#: By name: what it is for, what adds its arguments, and what does it.
_COMMANDS: dict[str, tuple[str, Callable[[Any], None], Callable[[Mapping[str, Any], Output], None]]] = {
    "sync-markets": (markets.HELP, markets.add_arguments, markets.handle),
    "backfill": (backfills.HELP, backfills.add_arguments, backfills.handle),
    "sync": (syncing.HELP, syncing.add_arguments, syncing.handle),
    "import": (imports.HELP, imports.add_arguments, imports.handle),
    "export": (exports.HELP, exports.add_arguments, exports.handle),
    "gaps": (gaps.HELP, gaps.add_arguments, gaps.handle),
    "repair": (gaps.REPAIR_HELP, gaps.add_repair_arguments, gaps.handle_repair),
    "verify": (verifying.HELP, verifying.add_arguments, verifying.handle),
    "refresh": (verifying.REFRESH_HELP, verifying.add_refresh_arguments, verifying.handle_refresh),
}


class Command(BaseCommand):
    help = (
        "Fetch, import, export, look after and compare candles. Status 0: all went well; 1: something is not"
        " as it should be; 2: the command line is wrong; 130: stopped by Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="command")
        common = CommandParser(add_help=False)
        common.add_argument("--quiet", action="store_true", help="say nothing of how far it is")
        for name, (what, add_arguments, _) in _COMMANDS.items():
            add_arguments(commands.add_parser(name, parents=[common], help=what, description=what))

    def handle(self, *args: Any, **options: Any) -> None:
        output = Output(self.stdout, self.stderr, quiet=options["quiet"])
        _, _, handle = _COMMANDS[options["command"]]
        try:
            with context.bind(actor=f"cli:{_user()}"):
                handle(options, output)
        except KeyboardInterrupt:
            raise CommandError(
                "stopped; what was done by then stays, and the same command goes on from there",
                returncode=arguments.STOPPED,
            ) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
