"""Run a specification over candles, here and now, and write its report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.backtests.engine import Bars, BarsError, Result, Spec, SpecError, certify, warm_up
from apps.backtests.engine.run import run_signals, signals_of
from apps.backtests.report.cli import loading, specfile, tables
from apps.backtests.report.document import report_document
from apps.backtests.report.file import render_file
from apps.backtests.report.outcome import outcome_of
from apps.candles.atomic import replacing
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.timeframes import TIMEFRAMES, to_datetime


class Command(BaseCommand):
    help = (
        "Run a specification over candles of files or of the database, print what it came to and write its"
        " report. Status 0: all went well; 1: something is not as it should be; 2: the command line or the"
        " specification is wrong; 130: stopped by Ctrl-C."
    )
    # Files need no database.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add(
            "spec", type=Path, metavar="SPEC.json",
            help="the specification; it may name instrument, timeframe, start and end as well",
        )  # fmt: skip
        add("--source", choices=["disk", "db"], default="db", help="where candles are (db)")
        add("--root", metavar="DIR", help="where disk looks: what candles export --format npz wrote")
        add("--instrument", action="append", help="as binance:BTC/USDT; may be repeated")
        add("--timeframe", choices=list(TIMEFRAMES))
        arguments.add_range(parser)
        page = parser.add_mutually_exclusive_group()
        page.add_argument("--report", type=Path, metavar="FILE.html", help="(beside SPEC.json, by its name)")
        page.add_argument("--no-report", action="store_true", help="write no report")
        add("--json", type=Path, metavar="FILE", help="write the report's document with all trades")
        add("--no-numba", action="store_true", help="run the engine uncompiled")
        add("--quiet", action="store_true", help="say nothing of how far it is")

    def handle(self, *args: Any, **options: Any) -> None:
        output = Output(self.stdout, self.stderr, quiet=options["quiet"])
        try:
            _handle(options, output)
        except KeyboardInterrupt:
            raise CommandError("stopped", returncode=arguments.STOPPED) from None


def _handle(options: Mapping[str, Any], output: Output) -> None:
    asked = specfile.read(options["spec"], options)
    if not asked.instruments:
        raise CommandError("--instrument: name one, here or in the file", returncode=arguments.WRONG)
    if asked.timeframe not in TIMEFRAMES:
        said = "name one, here or in the file" if asked.timeframe is None else f"{asked.timeframe!r} is none"
        raise CommandError(f"--timeframe: {said}", returncode=arguments.WRONG)
    _check(asked, asked.timeframe)
    targets = _targets(asked, options)
    times: dict[str, float] = {}
    source = loading.source_of(options)
    with _timed(times, "candles"):
        bars = loading.load(source, asked, asked.timeframe, output)
        detail = None
        if asked.spec.execution.detail is not None:
            ends = [(int(one.ts[0]), int(one.ts[-1]) + one.step) for one in bars.values()]
            span = (to_datetime(min(ends)[0]), to_datetime(max(end for _, end in ends)))
            detail = loading.load(
                source, asked, asked.spec.execution.detail, output, span=span, field="execution.detail"
            )
    if not options["no_numba"]:
        with _timed(times, "compiling"):
            warm_up()
    result, certificate = _run(bars, detail, asked.spec, options, output, times)
    outcome = outcome_of(result, certificate=certificate)
    about: dict[str, Any] = {
        "bars": bars,
        "outcome": outcome,
        "spec": asked.spec.as_dict(),
        "timeframe": asked.timeframe,
    }
    contents: dict[Path, bytes] = {}
    with _timed(times, "report"):
        document = report_document(**about)
        if "--report" in targets:
            contents[targets["--report"]] = render_file(document).encode()
        if "--json" in targets:
            total = len(outcome.trades)
            held = len(document["trades"]["side"]) == total
            complete = document if held else report_document(**about, trades=total)
            contents[targets["--json"]] = orjson.dumps(complete, option=orjson.OPT_APPEND_NEWLINE)
    tables.show(document, outcome.trades, times, output)
    for path, content in contents.items():
        _write(path, content)
        output.line(str(path))


def _check(asked: specfile.Asked, timeframe: str) -> None:
    """Refuse what does not go together. Raises CommandError."""
    finer = asked.spec.execution.detail
    if finer is not None and (
        finer not in TIMEFRAMES or TIMEFRAMES[finer].width >= TIMEFRAMES[timeframe].width
    ):
        raise CommandError(
            f"execution.detail: {finer!r} is no timeframe that is finer than {timeframe}",
            returncode=arguments.WRONG,
        )
    quotes = {name.partition("/")[2].partition(":")[0] for name in asked.instruments}
    if len(quotes) > 1:
        raise CommandError(
            f"--instrument: one account has one currency; these are quoted in {', '.join(sorted(quotes))}",
            returncode=arguments.WRONG,
        )


def _targets(asked: specfile.Asked, options: Mapping[str, Any]) -> dict[str, Path]:
    """The files to write, by their options. Raises CommandError where one would replace another, or what was
    read.
    """
    targets: dict[str, Path] = {}
    if not options["no_report"]:
        targets["--report"] = options["report"] or options["spec"].with_suffix(".html")
    if options["json"] is not None:
        targets["--json"] = options["json"]
    taken = dict.fromkeys((path.resolve() for path in asked.files), "read by this run")
    for option, path in targets.items():
        if path.resolve() in taken:
            raise CommandError(f"{option}: {path} is {taken[path.resolve()]}", returncode=arguments.WRONG)
        taken[path.resolve()] = f"written by {option}"
    return targets


def _run(
    bars: Mapping[str, Bars],
    detail: Mapping[str, Bars] | None,
    spec: Spec,
    options: Mapping[str, Any],
    output: Output,
    times: dict[str, float],
) -> tuple[Result, dict[str, Any]]:
    """The result and the certificate that no signal looks ahead, of several instruments by their names."""
    # One instrument's bars are given as they are, several by name.
    single = len(bars) == 1
    data = next(iter(bars.values())) if single else bars
    finer = next(iter(detail.values())) if detail is not None and single else detail
    jit = False if options["no_numba"] else None
    try:
        with _timed(times, "signals"):
            signals = signals_of(data, spec)
        with _timed(times, "simulation"), output.bars() as shown:
            bar = shown.add("backtest", max(map(len, (detail or bars).values())))
            result = run_signals(data, signals, spec, detail=finer, progress=bar, jit=jit)
            bar.end()
        with _timed(times, "certificate"):
            found = {
                name: certify(one, spec.definition, spec.params, signals=signals["" if single else name])
                for name, one in bars.items()
            }
    except SpecError as exc:
        raise CommandError(f"{options['spec']}: {exc}", returncode=arguments.WRONG) from None
    except BarsError as exc:
        raise CommandError(str(exc), returncode=arguments.NOT_WELL) from None
    return result, next(iter(found.values())) if single else found


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all. Raises CommandError."""
    try:
        with replacing(path) as file:
            file.write(content)
    except OSError as exc:
        raise CommandError(f"{path}: {exc}", returncode=arguments.NOT_WELL) from None


@contextmanager
def _timed(times: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    times[name] = time.perf_counter() - begun
