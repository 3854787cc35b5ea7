"""``candles import``: minutes out of files."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.candles import selectors, services
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.clients import client_for
from apps.candles.exchanges import respected
from apps.candles.files import READ_FORMATS, TIME_UNITS, AmbiguousFile, UnreadableFile
from apps.candles.files.columns import check_columns
from apps.candles.importing import FileForm, ImportResult, WrongFile, import_file
from apps.candles.instruments import parse_instrument
from apps.candles.models import Instrument
from apps.candles.venues import VenueError, load_instrument
from apps.candles.wording import count

HELP = (
    "store the minutes that files have: CSV (also .gz or .zip, as Binance's archives), .npz, Parquet;"
    " status 1 when rows were rejected or a file could not be taken"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--instrument", required=True, help="what all of them are of, as binance:BTC/USDT")
    parser.add_argument("--dry-run", action="store_true", help="judge the rows and store nothing")
    parser.add_argument("--allow-rejects", action="store_true", help="status 0 although rows were rejected")
    form = parser.add_argument_group("what the files are, where that cannot be told by looking at them")
    form.add_argument("--format", choices=READ_FORMATS, help="insist on one")
    form.add_argument(
        "--columns", type=columns, metavar="FIELD=COLUMN,…",
        help="where things are, by name or by place from 0: ts=Date,volume=6",
    )  # fmt: skip
    form.add_argument("--time-unit", choices=TIME_UNITS, help="what all times are")
    form.add_argument(
        "--base", metavar="CODE", help="the currency that volumes are counted in (the instrument's base)"
    )
    form.add_argument(
        "--trust", action="store_true",
        help="believe that it is so although a file's name or the steps between its times speak against it",
    )  # fmt: skip
    unknown = parser.add_argument_group("an instrument that is not known yet")
    unknown.add_argument("--look-up", action="store_true", help="ask its exchange what it is")
    unknown.add_argument("--create", action="store_true", help="make it of --base, --quote and --kind")
    unknown.add_argument("--quote", metavar="CODE", help="the currency of its prices: USDT")
    unknown.add_argument("--settle", metavar="CODE", default="", help="what a contract is settled in")
    unknown.add_argument("--kind", choices=Instrument.Kind.values, default=Instrument.Kind.SPOT.value)


def columns(text: str) -> dict[str, str | int]:
    """``ts=Date,volume=6`` as `read_minutes` takes it."""
    found: dict[str, str | int] = {}
    for part in text.split(","):
        field, equals, place = part.partition("=")
        if not equals or not place:
            raise ArgumentTypeError(f"{part!r} is not like ts=Date or volume=6")
        if field in found:
            raise ArgumentTypeError(f"{field} is given twice")
        found[field] = int(place) if place.isdecimal() else place
    try:
        check_columns(found)
    except ValueError as exc:
        raise ArgumentTypeError(str(exc).removeprefix("columns= ")) from None
    return found


def handle(options: Mapping[str, Any], output: Output) -> None:
    """File by file: one that cannot be taken is told, and the others are.

    Raises CommandError when one could not, and when rows were rejected unless that is allowed.
    """
    for path in options["files"]:
        if not path.is_file():
            raise CommandError(f"FILE: there is no file {path}", returncode=arguments.WRONG)
    instrument = _instrument(options)
    form = FileForm(
        format=options["format"],
        columns=options["columns"],
        time_unit=options["time_unit"],
        base=options["base"] or instrument.base,
    )
    dry_run = options["dry_run"]
    failed = rejected = 0
    with output.bars() as bars:
        for path in options["files"]:
            bar = bars.add(path.name)
            try:
                result = import_file(
                    instrument=instrument,
                    path=path,
                    form=form,
                    trust=options["trust"],
                    dry_run=dry_run,
                    on_progress=bar,
                )
            except (
                UnreadableFile, WrongFile, services.ScaleOverflow, services.BeyondRetention, OSError,
            ) as exc:  # fmt: skip
                bar.end("not taken")
                output.trouble(_problem(path, exc))
                failed += 1
                continue
            bar.end()
            rejected += result.rejected.total()
            _print(path, result, output, dry_run=dry_run)
        if not dry_run and not instrument._state.adding:
            bar = bars.add("roll-ups")
            try:
                services.refresh_rollups(instrument=instrument)
            except services.ScaleOverflow as exc:
                raise CommandError(f"{instrument.text}: {exc}", returncode=arguments.NOT_WELL) from None
            bar.end("refreshed")
    if failed:
        raise CommandError(f"FILE: {count(failed, 'file')} not taken whole", returncode=arguments.NOT_WELL)
    if rejected and not options["allow_rejects"]:
        raise CommandError(
            f"{count(rejected, 'row')} rejected; the others are {'sound' if dry_run else 'stored'}"
            " (--allow-rejects: that is no error)",
            returncode=arguments.NOT_WELL,
        )


def _instrument(options: Mapping[str, Any]) -> Instrument:
    text = options["instrument"]
    try:
        exchange, symbol = parse_instrument(text)
    except ValueError as exc:
        raise CommandError(f"--instrument: {exc}", returncode=arguments.WRONG) from None
    try:
        return selectors.instrument_get(text)
    except Instrument.DoesNotExist:
        pass
    if options["look_up"]:
        return _looked_up(exchange, symbol, keep=not options["dry_run"])
    if not options["create"]:
        raise CommandError(
            f"--instrument: {text} is not known here; --look-up asks {exchange} for it, and --create makes it"
            " of --base and --quote",
            returncode=arguments.WRONG,
        )
    for name in ("base", "quote"):
        if not options[name]:
            raise CommandError(f"--{name}: --create needs it", returncode=arguments.WRONG)
    kind = options["kind"]
    if (kind == Instrument.Kind.SPOT) == bool(options["settle"]):
        raise CommandError("--settle: contracts need it, and spot has none", returncode=arguments.WRONG)
    # Its scales are what its candles need: they grow with the first of them.
    return Instrument(
        exchange=exchange,
        symbol=symbol,
        base=options["base"],
        quote=options["quote"],
        settle=options["settle"],
        kind=kind,
        price_scale=0,
        volume_scale=0,
    )


def _looked_up(exchange: str, symbol: str, *, keep: bool) -> Instrument:
    arguments.exchanges([exchange], argument="--look-up")
    try:
        with respected(exchange):
            found = load_instrument(client_for(exchange, symbol), symbol)
    except VenueError as exc:
        raise CommandError(f"--look-up: {exc}", returncode=arguments.NOT_WELL) from None
    if keep:
        return services.instrument_upsert(exchange=exchange, found=found)
    return Instrument(
        exchange=exchange,
        symbol=symbol,
        base=found.base,
        quote=found.quote,
        venue_id=found.venue_id,
        price_scale=found.price_scale,
        volume_scale=found.volume_scale,
    )


def _problem(path: Path, exc: Exception) -> str:
    """What stood in the way, in the command's own words for options."""
    text = str(exc)
    if isinstance(exc, AmbiguousFile):
        text = text.replace(f"{exc.option}= settles it", f"--{exc.option.replace('_', '-')} settles it")
    if isinstance(exc, WrongFile):
        return f"{text} (--trust takes it)"
    return text if text.startswith(path.name) else f"{path.name}: {text}"


def _print(path: Path, result: ImportResult, output: Output, *, dry_run: bool) -> None:
    if dry_run:
        what = f"{result.sound:,} sound"
    else:
        what = f"{result.inserted:,} new, {result.updated:,} changed, {result.unchanged:,} as they were"
    output.line(f"{path.name}: {count(result.rows, 'row')}: {what}, {result.rejected.total():,} rejected")
    for reason, number in result.rejected.most_common():
        output.line(f"  {number:,} {reason.value}")
    if result.rejects is not None:
        output.line(f"  see {result.rejects}{'' if dry_run else ' and the quarantine'}")
