from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.candles.sources import SourceError, export_npz
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not ISO 8601") from None
    if moment.utcoffset() is None:
        raise ArgumentTypeError(f"{text!r} needs Z or an offset from UTC")
    return moment


class Command(BaseCommand):
    """Write candles to files that DiskSource reads."""

    help = "Export an instrument's candles to FOLDER as .npz, one file for each timeframe."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("instrument", help="as binance:BTC/USDT")
        parser.add_argument("folder", type=Path)
        parser.add_argument("--timeframe", action="append", choices=list(TIMEFRAMES), help="may be repeated")
        parser.add_argument("--start", type=_moment, help="ISO 8601 with Z or an offset")
        parser.add_argument("--end", type=_moment, help="likewise; not included")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            files = export_npz(
                source=TimescaleSource(),
                root=options["folder"],
                instrument=options["instrument"],
                timeframes=options["timeframe"],
                start=options["start"],
                end=options["end"],
            )
        except SourceError as exc:
            raise CommandError(f"{exc.field}: {exc}") from None
        for file in files:
            self.stdout.write(str(file))
        self.stdout.write(f"{len(files)} files written")
