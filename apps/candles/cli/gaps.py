"""``candles gaps`` and ``candles repair``: what is missing, and getting it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.candles import services
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.models import Gap, Instrument
from apps.candles.ranges import Range, clipped
from apps.candles.repairing import open_gaps
from apps.candles.timeframes import M1, MINUTE, to_datetime, to_ms
from apps.candles.venues import VenueError
from apps.candles.wording import count, when

HELP = "list minutes that are missing between the first and the last stored one"
REPAIR_HELP = "ask exchanges for what is missing, here and now"

# Gaps of one instrument that are listed.
_LISTED = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_instruments(parser)
    arguments.add_range(parser)
    parser.add_argument(
        "--known", action="store_true", help="also those that the exchange does not have either"
    )
    parser.add_argument(
        "--limit", type=arguments.positive, default=_LISTED, help=f"so many of each instrument ({_LISTED})"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="all of them as JSON")


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Open gaps, with *known* also the others with their cause; then the minutes in all."""
    instruments = arguments.instruments_of(options)
    start, end = arguments.range_of(options)
    results = []
    for one in instruments:
        found = open_gaps(instrument=one, start=start, end=end)
        known = _known(one, start, end)
        results.append(_described(one, found, known, with_known=options["known"]))
        if not options["as_json"]:
            _print(results[-1], output, limit=options["limit"])
    if options["as_json"]:
        output.json(results)


def _known(instrument: Instrument, start: datetime | None, end: datetime | None) -> list[tuple[Range, str]]:
    """What of [start, end) is known to be absent, each part with its cause."""
    lo = M1.ceil(to_ms(start)) if start else 0
    hi = M1.ceil(to_ms(end or timezone.now()))
    return [
        (part, gap.cause)
        for gap in Gap.objects.filter(instrument=instrument).order_by("start")
        for part in clipped([(to_ms(gap.start), to_ms(gap.end))], lo, hi)
    ]


def _described(
    instrument: Instrument, found: Sequence[Range], known: Sequence[tuple[Range, str]], *, with_known: bool
) -> dict[str, Any]:
    listed: list[tuple[Range, str | None]] = [(gap, None) for gap in found]
    if with_known:
        listed += known
    return {
        "instrument": instrument.text,
        "open_minutes": sum(hi - lo for lo, hi in found) // MINUTE,
        "known_minutes": sum(hi - lo for (lo, hi), _ in known) // MINUTE,
        "gaps": [
            {"start": to_datetime(lo), "end": to_datetime(hi), "minutes": (hi - lo) // MINUTE, "cause": cause}
            for (lo, hi), cause in sorted(listed, key=lambda gap: gap[0])
        ],
    }


def _print(result: dict[str, Any], output: Output, *, limit: int) -> None:
    output.line(
        f"{result['instrument']}: {count(result['open_minutes'], 'minute')} missing,"
        f" {count(result['known_minutes'], 'more', 'more')} that the exchange does not have"
    )
    for gap in result["gaps"][:limit]:
        output.line(
            f"  {when(gap['start'])} to {when(gap['end'])} UTC  {count(gap['minutes'], 'minute'):>14}"
            f"  {gap['cause'] or 'open'}"
        )
    if len(result["gaps"]) > limit:
        output.line(f"  and {count(len(result['gaps']) - limit, 'more', 'more')}: --limit, --json")


def add_repair_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_instruments(parser)
    arguments.add_range(parser)
    parser.add_argument(
        "--again", action="store_true", help="also ask for what the exchange did not have before"
    )


def handle_repair(options: Mapping[str, Any], output: Output) -> None:
    """One instrument after the other; the trouble of one is told, and the others go on."""
    instruments = arguments.instruments_of(options)
    start, end = arguments.range_of(options)
    failed = 0
    with output.bars() as bars:
        for one in instruments:
            bar = bars.add(one.text)
            try:
                result = services.repair(
                    instrument=one,
                    start=start,
                    end=end,
                    again=options["again"],
                    on_progress=bar,
                )
            except (VenueError, services.ScaleOverflow, services.BeyondRetention) as exc:
                bar.end("failed")
                output.trouble(f"{one.text}: {type(exc).__name__}: {exc}")
                failed += 1
                continue
            bar.end()
            output.line(
                f"{one.text}: {count(result.missing, 'minute')} missing, {result.filled:,} filled,"
                f" {result.quarantined:,} in quarantine, {result.absent:,} that the exchange does not have"
            )
    if failed:
        raise CommandError(f"{count(failed, 'instrument')} not repaired", returncode=arguments.NOT_WELL)
