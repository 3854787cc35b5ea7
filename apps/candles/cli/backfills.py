"""``candles backfill``: ranges of minutes from exchanges, by durable tasks."""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from apps.candles import requesting, selectors, services
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.models import Backfill
from apps.candles.selectors import BackfillState, BackfillStatus
from apps.candles.wording import count, when
from apps.core import context
from apps.tasks.selectors import processes

HELP = "fetch ranges of minutes from exchanges, by durable tasks, and watch how far they are"

# Seconds between two looks.
_EVERY = 0.5
_UNDER_WAY = (BackfillState.PREPARING, BackfillState.RUNNING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instruments", nargs="*", metavar="INSTRUMENT", help="as binance:BTC/USDT")
    arguments.add_range(parser)
    parser.add_argument("--detach", action="store_true", help="do not wait for the end")
    parser.add_argument(
        "--watch", nargs="+", default=[], metavar="ID", help="watch backfills asked for before"
    )


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Ask for all of it or for nothing, then watch."""
    if bool(options["instruments"]) == bool(options["watch"]):
        raise CommandError("INSTRUMENT: name some, or backfills to --watch", returncode=arguments.WRONG)
    if options["watch"]:
        backfills = [_asked_before(text) for text in dict.fromkeys(options["watch"])]
    else:
        backfills = _ask(options)
        for one in backfills:
            output.aside(f"{one.pk}: {one.text} from {when(one.start)} to {when(one.end)} UTC")
    if options["detach"]:
        for one in backfills:
            output.line(str(one.pk))
        return
    try:
        watch(backfills, output)
    except KeyboardInterrupt:
        ids = " ".join(str(one.pk) for one in backfills)
        raise CommandError(
            f"it goes on without being watched; to watch it again: candles backfill --watch {ids}",
            returncode=arguments.STOPPED,
        ) from None


def _asked_before(text: str) -> Backfill:
    try:
        return Backfill.objects.get(pk=uuid.UUID(text))
    except ValueError:
        raise CommandError(f"--watch: {text!r} is no id", returncode=arguments.WRONG) from None
    except Backfill.DoesNotExist:
        raise CommandError(f"--watch: there is no backfill {text}", returncode=arguments.WRONG) from None


@transaction.atomic
def _ask(options: Mapping[str, Any]) -> list[Backfill]:
    if options["start"] is None:
        raise CommandError("--start: say from when on", returncode=arguments.WRONG)
    start, end = options["start"], options["end"] or timezone.now()
    asked = []
    for text in dict.fromkeys(options["instruments"]):
        try:
            asked += requesting.backfills_request(
                instrument_id_text=text, start=start, end=end, actor=context.current().actor
            )
        except services.InvalidBackfill as exc:
            name = f"INSTRUMENT: {text!r}" if exc.field == "instrument" else f"--{exc.field}"
            raise CommandError(f"{name}: {exc}", returncode=arguments.WRONG) from None
    return asked


def watch(backfills: Sequence[Backfill], output: Output) -> None:
    """Show how far backfills are until all of them have ended; the result says how each did.

    Raises CommandError when one did not succeed.
    """
    with output.bars() as bars:
        shown = {one.pk: bars.add(_title(one), 100) for one in backfills}
        running = {one.pk: one for one in backfills}
        statuses: dict[uuid.UUID, BackfillStatus] = {}
        warned = False
        while True:
            statuses |= selectors.backfill_statuses(list(running.values()))
            for pk in list(running):
                status = statuses[pk]
                shown[pk](int(100 * status.progress), note=_note(status))
                if status.state not in _UNDER_WAY:
                    shown[pk].end(_note(status))
                    del running[pk]
            if not running:
                break
            if not warned and not _worker():
                output.trouble("no worker of the queue ingest runs: nothing happens until one does")
            warned = True
            time.sleep(_EVERY)
    for one in backfills:
        status = statuses[one.pk]
        output.line(
            f"{one.pk}: {one.text}: {status.state.value}, {count(status.rows, 'minute')} stored,"
            f" {status.quarantined:,} in quarantine"
            + (f", {_not_served(status)}" if status.not_served else "")
        )
        for error in status.errors:
            part = f" of {when(error.start)} to {when(error.end)}" if error.start and error.end else ""
            output.trouble(f"  run {error.run_id}{part}: {error.state}: {error.type}: {error.message}")
    if any(statuses[one.pk].state is not BackfillState.SUCCEEDED for one in backfills):
        raise CommandError("not all of it succeeded", returncode=arguments.NOT_WELL)


def _title(backfill: Backfill) -> str:
    return f"{backfill.text} {when(backfill.start)} to {when(backfill.end)}"


def _note(status: BackfillStatus) -> str:
    parts = [status.state.value]
    if status.chunks_total is not None:
        parts.append(f"{status.chunks_done} of {count(status.chunks_total, 'chunk')}")
        parts.append(count(status.rows, "minute"))
    if status.quarantined:
        parts.append(f"{status.quarantined:,} in quarantine")
    if status.not_served:
        parts.append(_not_served(status))
    if status.eta is not None:
        parts.append(f"done at about {status.eta:%H:%M:%S} UTC")
    if status.state in _UNDER_WAY and status.errors:
        error = status.errors[-1]
        parts.append(f"tried again after {error.type}: {error.message}"[:120])
    return ", ".join(parts)


def _not_served(status: BackfillStatus) -> str:
    return f"{status.not_served:,} that the exchange serves no more"


def _worker() -> bool:
    """Whether a worker is up that fetches."""
    workers = processes().filter(kind="worker", ended_at=None)
    return any("ingest" in one.queues and one.condition == "running" for one in workers)
