from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from apps.candles import services
from apps.candles.storage import moving, policies, stores
from apps.candles.storage.capabilities import detect
from apps.candles.storage.chunks import compress_old
from apps.candles.storage.installing import create_extension
from apps.candles.storage.moving import MoveUnderWay, Step
from apps.candles.storage.stores import PORTABLE, Store


class Command(BaseCommand):
    """Move the candles of a database that is in use to the best store that it can have."""

    help = (
        "Move candles to TimescaleDB, or to the keeper of roll-ups that CANDLES_ROLLUPS names, while the"
        " database is in use. Broken off, it goes on where it was when it is called again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", choices=["portable"], help="leave TimescaleDB instead")
        parser.add_argument("--abandon", action="store_true", help="remove what a broken off move has made")
        parser.add_argument("--plan", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["abandon"]:
            self.stdout.write("abandoned" if moving.abandon() else "there is no move that was broken off")
            return
        target = PORTABLE if options["to"] else self._best(create=not options["plan"])
        source = stores.in_force()
        if source == target:
            self.stdout.write(f"already in force: {target.name}")
        else:
            self.stdout.write(f"from {source.name} to {target.name}")
        if options["plan"]:
            return
        with _progress() as progress:
            shown = _Shown(progress)
            try:
                moving.move(target, on_step=shown.step)
            except MoveUnderWay as exc:
                raise CommandError(str(exc)) from None
            for change in policies.apply():
                progress.console.print(change)
            shown.step(Step(name="refreshing roll-ups", done=0, total=1))
            services.refresh_rollups()
            shown.step(Step(name="refreshing roll-ups", done=1, total=1))
            compress_old(on_step=shown.step)
        self.stdout.write(f"in force: {target.name}")

    def _best(self, *, create: bool) -> Store:
        obstacle = create_extension() if create else detect().obstacle
        if obstacle:
            raise CommandError(f"TimescaleDB cannot be used here: {obstacle}")
        return stores.wanted(detect())


class _Shown:
    """Bars of the steps so far."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.bars: dict[str, TaskID] = {}

    def step(self, step: Step) -> None:
        """Show how far a step is."""
        if step.name not in self.bars:
            self.bars[step.name] = self.progress.add_task(step.name, total=step.total)
        self.progress.update(self.bars[step.name], completed=step.done, total=step.total)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
