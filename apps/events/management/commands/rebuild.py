"""Rebuild state tables from their events, or check that they need no rebuilding."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.events import projections
from apps.events.progress import Progress
from apps.events.projections import Projection
from apps.events.selectors import estimated_events

_SHOWN = 20


class Command(BaseCommand):
    help = "Rebuild state tables from events; with --check only compare, and fail on any difference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "projection", nargs="*", help=f"which ones; there are: {', '.join(projections.names())}"
        )
        parser.add_argument("--all", action="store_true", help="every projection")
        parser.add_argument("--check", action="store_true", help="change nothing; fail on any difference")

    def handle(self, *args: Any, **options: Any) -> None:
        names = projections.names() if options["all"] else options["projection"]
        unknown = sorted(set(names) - set(projections.names()))
        if unknown:
            raise CommandError(f"there is no projection {', '.join(unknown)}")
        if not names:
            raise CommandError("name a projection, or use --all")
        action = self._check if options["check"] else self._rebuild
        findings = [finding for name in names if (finding := action(projections.projection(name)))]
        if findings:
            raise CommandError("\n".join(findings))

    def _progress(self, target: Projection) -> Progress:
        return Progress(self.stderr.write, f"{target.name}: events", total=estimated_events())

    def _rebuild(self, target: Projection) -> str:
        corrected = projections.rebuild(target, progress=self._progress(target))
        self.stdout.write(f"{target.name}: {corrected} rows corrected")
        return ""

    def _check(self, target: Projection) -> str:
        count = 0
        for count, difference in enumerate(
            projections.differences(target, progress=self._progress(target)), 1
        ):
            if count <= _SHOWN:
                self.stderr.write(str(difference))
        if count:
            return f"{target.name}: {count} differences between state and events"
        self.stdout.write(f"{target.name}: state equals events")
        return ""
