"""``candles verify`` and ``candles refresh``: minutes against an exchange, roll-ups against minutes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.candles import selectors, services
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.models import Instrument
from apps.candles.sources import VALUES
from apps.candles.storage import stores
from apps.candles.storage.stores import Rollups
from apps.candles.timeframes import minute_of, to_datetime
from apps.candles.venues import VenueError
from apps.candles.verifying import Difference, VerifyResult, verify
from apps.candles.wording import count, decimal, when

HELP = "compare stored minutes with what the exchange says now; status 1 when they differ"
REFRESH_HELP = "bring roll-ups up to date after minutes were changed from outside"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instrument", metavar="INSTRUMENT", help="as binance:BTC/USDT")
    arguments.add_range(parser, required=True)
    parser.add_argument(
        "--mend", action="store_true", help="store what the exchange has and is not stored so"
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="the result as JSON")


def handle(options: Mapping[str, Any], output: Output) -> None:
    """How many minutes agree and how many do not, and the first of these in full.

    Raises CommandError when there was a difference, also when it was mended.
    """
    one = arguments.instrument(options["instrument"])
    start, end = arguments.range_of(options)
    assert start is not None
    with output.bars() as bars:
        bar = bars.add(one.text)
        try:
            result = verify(
                instrument=one,
                start=minute_of(start),
                end=minute_of(end or timezone.now()),
                mend=options["mend"],
                on_progress=bar,
            )
        except (VenueError, services.ScaleOverflow, services.BeyondRetention) as exc:
            bar.end("failed")
            raise CommandError(
                f"{one.text}: {type(exc).__name__}: {exc}", returncode=arguments.NOT_WELL
            ) from None
        bar.end()
    if options["as_json"]:
        output.json(_described(one, result))
    else:
        _print(one, result, output)
    if not result.agrees:
        raise CommandError(f"{one.text}: they differ", returncode=arguments.NOT_WELL)


def decimals(one: Difference, which: str) -> dict[str, str] | None:
    """The stored or given values of a difference as decimals; None for no minute."""
    values: tuple[int, ...] | None = getattr(one, which)
    if values is None:
        return None
    return {
        name: decimal(value, one.volume_scale if name == "volume" else one.price_scale)
        for name, value in zip(VALUES, values, strict=True)
    }


def _described(instrument: Instrument, result: VerifyResult) -> dict[str, Any]:
    figures = {key: value for key, value in asdict(result).items() if key != "differences"}
    differences = [
        {"ts": to_datetime(one.ts), "stored": decimals(one, "stored"), "exchange": decimals(one, "given")}
        for one in result.differences
    ]
    return {"instrument": instrument.text, "agrees": result.agrees, **figures, "differences": differences}


def _print(instrument: Instrument, result: VerifyResult, output: Output) -> None:
    output.line(
        f"{instrument.text}: {count(result.same, 'minute')} the same, {result.different:,} different,"
        f" {result.missing:,} not stored, {result.extra:,} that the exchange does not have,"
        f" {result.rejected:,} of the exchange's rejected, {result.repaired:,} mended"
    )
    for one in result.differences:
        output.line(f"  {when(to_datetime(one.ts))} UTC")
        for title, which in (("stored  ", "stored"), ("exchange", "given")):
            values = decimals(one, which)
            shown = "none" if values is None else "  ".join(f"{name} {text}" for name, text in values.items())
            output.line(f"    {title}  {shown}")
    rest = result.different + result.missing + result.extra - len(result.differences)
    if rest:
        output.line(f"  and {count(rest, 'more', 'more')}")


def add_refresh_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "instruments", nargs="*", metavar="INSTRUMENT", help="only these, as binance:BTC/USDT (all)"
    )


def handle_refresh(options: Mapping[str, Any], output: Output) -> None:
    """Instrument by instrument; where TimescaleDB keeps the roll-ups, all of them at once."""
    wanted = arguments.named(options["instruments"])
    days = 0
    with output.bars() as bars:
        if stores.in_force().rollups == Rollups.AGGREGATES:
            bar = bars.add("roll-ups")
            days = _refresh(None)
            bar.end()
        else:
            found = wanted or list(Instrument.objects.filter(pk__in=selectors.changed()).order_by("pk"))
            bar = bars.add("roll-ups", len(found))
            for done, one in enumerate(found):
                bar(done, note=one.text)
                days += _refresh(one)
                bar(done + 1)
            bar.end()
    output.line(f"{count(days, 'instrument day')} refreshed")


def _refresh(instrument: Instrument | None) -> int:
    try:
        return services.refresh_rollups(instrument=instrument)
    except services.ScaleOverflow as exc:
        name = instrument.text if instrument else "roll-ups"
        raise CommandError(f"{name}: {exc}", returncode=arguments.NOT_WELL) from None
