"""``candles sync``: instruments up to the present."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from apps.candles import selectors
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.models import Instrument
from apps.candles.syncing import sync_instruments
from apps.candles.wording import count

HELP = "bring instruments up to the last minute that has ended, here and now"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "instruments", nargs="*", metavar="INSTRUMENT", help="as binance:BTC/USDT (all that are followed)"
    )
    parser.add_argument(
        "--exchange", action="append", default=[], help="those that are followed of this one; may be repeated"
    )


def handle(options: Mapping[str, Any], output: Output) -> None:
    """One exchange after the other; what goes wrong with an instrument is told, and the others go on."""
    if options["instruments"] and options["exchange"]:
        raise CommandError("--exchange: instruments are named already", returncode=arguments.WRONG)
    if options["instruments"]:
        found = arguments.named(options["instruments"])
    else:
        found = list(selectors.instruments(active=True, followed=True))
        if options["exchange"]:
            wanted = arguments.exchanges(options["exchange"], argument="--exchange")
            found = [one for one in found if one.exchange in wanted]
    if not found:
        raise CommandError("no instrument is followed there", returncode=arguments.NOT_WELL)
    by_exchange: dict[str, list[Instrument]] = {}
    for one in found:
        by_exchange.setdefault(one.exchange, []).append(one)
    synced = rows = 0
    failed: dict[str, str] = {}
    with output.bars() as bars:
        for exchange, instruments in by_exchange.items():
            bar = bars.add(exchange, len(instruments))
            result = sync_instruments(instruments, run=None, on_progress=bar.at)
            bar(len(instruments))
            bar.end(count(result.rows, "new minute"))
            synced, rows, failed = synced + result.synced, rows + result.rows, failed | result.failed
    output.line(f"{count(synced, 'instrument')} up to date, {count(rows, 'new minute')}")
    for text, reason in failed.items():
        output.trouble(f"{text}: {reason}")
    if failed:
        raise CommandError(
            f"{count(len(failed), 'instrument')} not brought up to date", returncode=arguments.NOT_WELL
        )
