"""Rebuild a state table from its events, or check that it needs no rebuilding."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.events import projections

_SHOWN = 20


class Command(BaseCommand):
    help = "Rebuild a projection from events; with --check only compare, and fail on any difference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("projection", choices=projections.names())
        parser.add_argument("--check", action="store_true", help="change nothing; fail on any difference")

    def handle(self, *args: Any, **options: Any) -> None:
        target = projections.projection(options["projection"])
        if not options["check"]:
            corrected = projections.rebuild(target)
            self.stdout.write(f"{target.name}: {corrected} rows corrected")
            return
        differences = projections.check(target)
        for difference in differences[:_SHOWN]:
            self.stderr.write(str(difference))
        if differences:
            raise CommandError(f"{target.name}: {len(differences)} differences between state and events")
        self.stdout.write(f"{target.name}: state equals events")
