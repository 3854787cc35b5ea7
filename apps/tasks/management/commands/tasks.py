"""Look at runs, and operate on one or many of them."""

from __future__ import annotations

import getpass
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from apps.core import context
from apps.tasks import bulk, conf, depths, selectors, stats, wording
from apps.tasks.cli import arguments, tables
from apps.tasks.models import BulkOperation, Process, TaskRun
from apps.tasks.periodic.selectors import entries
from apps.tasks.periodic.serializers import PeriodicTaskSerializer
from apps.tasks.serializers import BulkOperationSerializer, TaskRunDetailSerializer, TaskRunSerializer
from apps.tasks.states import Operation
from apps.tasks.stats_serializers import FiguresSerializer

#: Exit statuses besides 0: what was asked for is not there or was refused; the command line is wrong.
_NOT_DONE = 1
_WRONG = 2


class Command(BaseCommand):
    help = (
        "Look at runs and operate on them. Status 0: done; 1: nothing there, or something was refused;"
        " 2: the command line is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="command")
        output = CommandParser(add_help=False)
        output.add_argument("--json", action="store_true", dest="as_json", help="JSON instead of a table")

        listed = commands.add_parser("list", parents=[output], help="runs, newest first")
        arguments.add_filters(listed)
        listed.add_argument("--limit", type=arguments.positive, default=50, help="so many (50)")
        listed.add_argument("--before", type=arguments.run_id, metavar="RUN", help="those before this one")

        shown = commands.add_parser("show", parents=[output], help="one run with every event of it")
        shown.add_argument("run_id", type=arguments.run_id, metavar="RUN")

        for operation in Operation:
            self._add_operation(commands, operation, output)

        figures = commands.add_parser("stats", parents=[output], help="rates, waits, durations, failures")
        figures.add_argument("--window", choices=stats.WINDOWS, default="1h", help="of time before now (1h)")
        commands.add_parser("periodic", parents=[output], help="what beat requests, and its ticks")
        commands.add_parser("processes", parents=[output], help="workers, relays and beats, and how they are")
        commands.add_parser("queues", parents=[output], help="how full each queue is, and since when")

    def _add_operation(self, commands: Any, operation: Operation, output: CommandParser) -> None:
        what = operation.label.split(": ", 1)[1]
        parser = commands.add_parser(operation.value, parents=[output], help=what)
        parser.add_argument("ids", nargs="*", type=arguments.run_id, metavar="RUN")
        if operation is Operation.RESCHEDULE:
            parser.add_argument(
                "--at", required=True, type=arguments.future, metavar="WHEN",
                help="when to be due: ISO 8601, or in so long: 15m, 2h, 7d",
            )  # fmt: skip
        arguments.add_filters(parser)
        parser.add_argument("--all", action="store_true", help="every run to which it can be done")
        parser.add_argument("--dry-run", action="store_true", help="say to how many, and do nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--limit", type=arguments.positive, help="to the oldest so many at most")
        parser.add_argument("--background", action="store_true", help="let a worker do it")

    def handle(self, *args: Any, **options: Any) -> None:
        # Tables come with their own line ends.
        self.stdout.ending = ""
        self.console = tables.console(self.stdout)
        command = options["command"]
        if command in Operation.values:
            with context.bind(actor=f"cli:{_user()}"):
                self._operate(Operation(command), options)
        else:
            getattr(self, f"_{command}")(options)

    def _print(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2) + "\n")

    def _list(self, options: dict[str, Any]) -> None:
        found, following = selectors.runs(
            selection=arguments.selection_of(options), before=options["before"], limit=options["limit"]
        )
        if options["as_json"]:
            self._print({"runs": TaskRunSerializer(found, many=True).data, "next": following})
            return
        self.console.print(tables.runs(found))
        if following:
            self.console.print(f"there are more: --before {following}", style="dim")

    def _show(self, options: dict[str, Any]) -> None:
        run = TaskRun.objects.filter(pk=options["run_id"]).first()
        if run is None:
            raise CommandError(f"there is no run {options['run_id']}", returncode=_NOT_DONE)
        if options["as_json"]:
            self._print(TaskRunDetailSerializer(run).data)
        else:
            self.console.print(tables.run(run, selectors.timeline(run.pk)))

    def _stats(self, options: dict[str, Any]) -> None:
        figures = stats.figures(options["window"], conf.queues())
        if options["as_json"]:
            self._print(FiguresSerializer(figures).data)
            return
        self.console.print(tables.activities(figures.activities, options["window"]))

    def _periodic(self, options: dict[str, Any]) -> None:
        found = list(entries())
        if options["as_json"]:
            self._print(PeriodicTaskSerializer(found, many=True).data)
        else:
            self.console.print(tables.periodic(found))

    def _processes(self, options: dict[str, Any]) -> None:
        found = list(selectors.processes())
        per_task = selectors.requests_per_task(timezone.now() - timedelta(hours=1))
        if options["as_json"]:
            self._print({"requests_per_task": per_task, "processes": [_process(one) for one in found]})
        else:
            self.console.print(tables.processes(found, per_task))

    def _queues(self, options: dict[str, Any]) -> None:
        found = stats.by_queue(stats.backlogs(), conf.queues())
        on_sqs, letters = depths.depths(), depths.dead_letter_depths()
        if not options["as_json"]:
            self.console.print(tables.queues(found, on_sqs, letters))
            return
        self._print(
            [
                {
                    **{key: value for key, value in asdict(one).items() if key != "task"},
                    "sqs": _depth(on_sqs.get(one.queue)),
                    "sqs_dead_letters": _depth(letters.get(one.queue)),
                }
                for one in found
            ]
        )

    def _operate(self, operation: Operation, options: dict[str, Any]) -> None:
        selection = arguments.selection_of(options)
        if not selection and not options["all"]:
            raise CommandError("say which runs, or --all", returncode=_WRONG)
        seen = bulk.preview(operation=operation, selection=selection)
        missing = _missing(selection.ids)
        bound = min(seen.count, options["limit"] or seen.count)
        if not options["as_json"]:
            self._preview(seen, bound, missing)
        if options["dry_run"]:
            if options["as_json"]:
                self._print({"count": seen.count, "by_state": seen.by_state, "missing": missing})
            return
        if not bound:
            raise CommandError(f"there is nothing to {operation.value}", returncode=_NOT_DONE)
        if not options["yes"]:
            self._confirm(operation, bound)
        done = self._perform(operation, selection, bound, options)
        if options["as_json"]:
            self._print({**BulkOperationSerializer(done).data, "missing": missing})
        else:
            self.stdout.write(tables.bulk(done) + "\n")
        if done.refused or missing:
            raise CommandError("not everything was done", returncode=_NOT_DONE)

    def _preview(self, seen: bulk.Preview, bound: int, missing: Sequence[uuid.UUID]) -> None:
        states = ", ".join(f"{count:,} {state.value}" for state, count in seen.by_state.items())
        limited = f", of which the oldest {bound:,}" if bound < seen.count else ""
        self.stdout.write(
            f"{seen.operation.value} {wording.runs(seen.count)}{limited} ({states or seen.selection})\n"
        )
        for run_id in missing:
            self.stdout.write(f"there is no run {run_id}\n")
        if seen.sample:
            self.console.print(tables.runs(seen.sample))

    def _confirm(self, operation: Operation, bound: int) -> None:
        if not sys.stdin.isatty():
            raise CommandError("not a terminal to ask on: say --yes or --dry-run", returncode=_WRONG)
        if input(f"{operation.value} {wording.runs(bound)}? [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("nothing was done", returncode=_NOT_DONE)

    def _perform(
        self, operation: Operation, selection: Any, bound: int, options: dict[str, Any]
    ) -> BulkOperation:
        ordered = {
            "operation": operation,
            "selection": selection,
            "bound": bound,
            "run_at": options.get("at"),
        }
        if options["background"]:
            return bulk.in_background(**ordered)
        columns = (
            TextColumn(operation.value),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[refused]}"),
        )
        # On stderr, and only where somebody watches.
        with Progress(
            *columns, console=Console(stderr=True), transient=True, disable=options["as_json"]
        ) as progress:
            bar = progress.add_task("", total=bound, refused="")
            return bulk.perform(
                bulk.order(**ordered).pk,
                lambda so_far: progress.update(
                    bar,
                    completed=so_far.dealt_with,
                    refused=f"{so_far.refused:,} refused" if so_far.refused else "",
                ),
            )


def _missing(ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    there = set(TaskRun.objects.filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()
    return [run_id for run_id in ids if run_id not in there]


def _process(process: Process) -> dict[str, Any]:
    shown = (
        "name", "kind", "condition", "host", "pid", "version", "queues", "concurrency", "started_at",
        "seen_at", "ended_at", "requests", "counts", "facts",
    )  # fmt: skip
    return {name: getattr(process, name) for name in shown}


def _depth(depth: Any) -> dict[str, int] | None:
    return None if depth is None else asdict(depth)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
