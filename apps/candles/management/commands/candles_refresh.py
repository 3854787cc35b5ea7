from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.candles import selectors, services
from apps.candles.models import Instrument


class Command(BaseCommand):
    """Bring roll-ups up to date after changes that were made to candle_1m from outside."""

    help = "Refresh the roll-ups of what has changed in candle_1m and was not written by Chandlery itself."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--instrument", help="only this one, as binance:BTC/USDT")

    def handle(self, *args: Any, **options: Any) -> None:
        instrument = None
        if options["instrument"]:
            try:
                instrument = selectors.instrument_get(options["instrument"])
            except (ValueError, Instrument.DoesNotExist) as exc:
                raise CommandError(f"--instrument: {exc}") from None
        days = services.refresh_rollups(instrument=instrument)
        self.stdout.write(f"{days} instrument days refreshed")
