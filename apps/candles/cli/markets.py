"""``candles sync-markets``: what exchanges trade."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from apps.candles import conf, selectors, services
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.clients import client_for
from apps.candles.exchanges import respected
from apps.candles.models import Instrument
from apps.candles.venues import VenueError, list_markets

HELP = "read what exchanges trade, here and now"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exchanges", nargs="*", metavar="EXCHANGE")
    parser.add_argument("--all", action="store_true", help="every exchange there is here")
    parser.add_argument(
        "--follow", action="extend", nargs="+", default=[], metavar="SYMBOL",
        help="follow these afterwards: as BTC/USDT, or binance:BTC/USDT where several exchanges are read",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", dest="as_json", help="the result as JSON")


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Every exchange by itself: what goes wrong with one is told, and the others are read."""
    if bool(options["exchanges"]) == options["all"]:
        raise CommandError("EXCHANGE: name some, or say --all", returncode=arguments.WRONG)
    names = arguments.exchanges(options["exchanges"]) or list(conf.exchange_urls())
    wanted = _wanted(options["follow"], names)
    results = []
    with output.bars() as bars:
        bar = bars.add("markets", len(names))
        for done, name in enumerate(names):
            bar(done, note=name)
            result = _read(name)
            results.append(result)
            if result["error"]:
                output.trouble(f"{name}: {result['error']}")
            bar(done + 1)
        bar.end()
    followed, unknown = _follow(wanted)
    if options["as_json"]:
        output.json({"exchanges": results, "followed": followed, "unknown": unknown})
    else:
        for result in results:
            if not result["error"]:
                figures = ("listed", "added", "changed", "delisted", "unreadable")
                output.line(
                    f"{result['exchange']}: " + ", ".join(f"{result[key]:,} {key}" for key in figures)
                )
        for text in followed:
            output.line(f"{text}: followed")
    if unknown:
        raise CommandError(f"--follow: not in the list: {', '.join(unknown)}", returncode=arguments.NOT_WELL)
    if any(result["error"] for result in results):
        raise CommandError("not every exchange was read", returncode=arguments.NOT_WELL)


def _read(name: str) -> dict[str, Any]:
    try:
        with respected(name):
            listing = list_markets(client_for(name))
    except VenueError as exc:
        return {"exchange": name, "error": f"{type(exc).__name__}: {exc}"}
    found = services.catalogue_update(exchange=name, listing=listing)
    return {"exchange": name, **asdict(found), "error": None}


def _wanted(symbols: list[str], names: list[str]) -> list[str]:
    """The text forms of what is to be followed."""
    wanted = []
    for symbol in symbols:
        exchange, colon, _ = symbol.partition(":")
        if colon and "/" not in exchange:
            if exchange not in names:
                raise CommandError(
                    f"--follow: {exchange} is not among what is read", returncode=arguments.WRONG
                )
            wanted.append(symbol)
        elif len(names) == 1:
            wanted.append(f"{names[0]}:{symbol}")
        else:
            raise CommandError(f"--follow: {symbol!r} of which exchange?", returncode=arguments.WRONG)
    return wanted


def _follow(texts: list[str]) -> tuple[list[str], list[str]]:
    """Follow these instruments. Returns those that are followed now, and those that there are not."""
    followed, unknown = [], []
    for text in texts:
        try:
            found = selectors.instrument_get(text)
        except (ValueError, Instrument.DoesNotExist):
            unknown.append(text)
            continue
        Instrument.objects.filter(pk=found.pk).update(followed=True)
        followed.append(text)
    return followed, unknown
