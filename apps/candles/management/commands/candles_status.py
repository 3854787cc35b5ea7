from __future__ import annotations

import json
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table

from apps.candles import selectors
from apps.candles.cli.arguments import positive
from apps.candles.reporting import headlines, moment, size
from apps.candles.storage.status import StoreStatus, status
from apps.candles.storage.stores import Store


class Command(BaseCommand):
    """Show what is in force in the candle store, and why."""

    help = "Show the candle store: what is in force and why, sizes, compression, policies, coverage, gaps."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--instruments", type=positive, default=50, help="show so many at most (50)")

    def handle(self, *args: Any, **options: Any) -> None:
        found = status()
        coverage = selectors.coverage_report(limit=options["instruments"])
        if options["json"]:
            self.stdout.write(json.dumps(_plain(found, coverage), indent=2, default=str))
            return
        stream = cast("IO[str]", self.stdout)
        console = Console(file=stream, width=None if self.stdout.isatty() else 140)
        for line in headlines(found):
            console.print(line, highlight=False, soft_wrap=True)
        console.print(_sizes(found))
        if found.jobs:
            console.print(_jobs(found))
        console.print(_coverage(coverage))


def _sizes(found: StoreStatus) -> Table:
    table = Table(title="Relations")
    for name in ("relation", "rows, about", "size", "parts", "compressed", "before", "after", "ratio"):
        table.add_column(name, justify="left" if name == "relation" else "right")
    for one in found.relations:
        table.add_row(
            one.name, f"{one.rows:,}", size(one.total_bytes), str(one.parts), str(one.compressed),
            size(one.before_bytes), size(one.after_bytes), f"{one.ratio:.1f}x" if one.ratio else "",
        )  # fmt: skip
    before = sum(one.before_bytes or 0 for one in found.relations)
    after = sum(one.after_bytes or 0 for one in found.relations)
    table.add_section()
    table.add_row(
        "all", "", size(sum(one.total_bytes for one in found.relations)), "", "",
        size(before or None), size(after or None), f"{before / after:.1f}x" if after else "",
    )  # fmt: skip
    return table


def _jobs(found: StoreStatus) -> Table:
    table = Table(title="Policies")
    for name in ("relation", "policy", "what", "last run", "last success", "next", "failures"):
        table.add_column(name)
    for report in found.jobs:
        table.add_row(
            report.job.relation, report.job.procedure.removeprefix("policy_").replace("_", " "),
            report.job.words, report.last_status or "never",
            moment(report.last_success), moment(report.next_start), str(report.failures),
        )  # fmt: skip
    return table


def _coverage(report: selectors.CoverageReport) -> Table:
    table = Table(title="Coverage")
    for name in ("instrument", "first", "last", "minutes", "missing", "complete"):
        table.add_column(name, justify="left" if name == "instrument" else "right")
    for one in report.instruments:
        table.add_row(
            one.text, moment(one.first), moment(one.last), f"{one.minutes:,}", f"{one.missing:,}",
            f"{one.complete:.2%}",
        )  # fmt: skip
    if report.more:
        table.caption = f"and {report.more} more"
    return table


def _plain(found: StoreStatus, coverage: selectors.CoverageReport) -> dict[str, Any]:
    def named(store: Store | None) -> str | None:
        return store.name if store else None

    return {
        **asdict(found),
        "in_force": named(found.in_force),
        "wanted": named(found.wanted),
        "moving_to": named(found.moving_to),
        "coverage": asdict(coverage),
    }
