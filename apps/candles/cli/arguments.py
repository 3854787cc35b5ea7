"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.candles import conf, selectors
from apps.candles.models import Instrument

#: Exit statuses besides 0: something is not as it should be; the command line is wrong; stopped by Ctrl-C.
NOT_WELL = 1
WRONG = 2
STOPPED = 130

_AGO = re.compile(r"(?P<number>\d{1,5})(?P<unit>[mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """ISO 8601 with its offset from UTC, or so long ago: ``90m``, ``12h``, ``7d``."""
    if found := _AGO.fullmatch(text):
        return timezone.now() - timedelta(**{_UNITS[found["unit"]]: int(found["number"])})
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither ISO 8601 nor like 90m, 12h or 7d") from None
    if parsed.utcoffset() is None:
        raise ArgumentTypeError(f"{text!r} needs Z or an offset from UTC")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} lies beyond the years 1 to 9999 in UTC") from None


def positive(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def add_range(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--start`` and ``--end``."""
    parser.add_argument(
        "--start", type=moment, required=required, metavar="WHEN",
        help="ISO 8601 with Z or an offset, or so long ago: 90m, 12h, 7d",
    )  # fmt: skip
    parser.add_argument("--end", type=moment, metavar="WHEN", help="likewise; not included (now)")


def range_of(options: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """The start and the end that were given, which is after it."""
    start, end = options["start"], options["end"]
    if start is not None and start >= (end or timezone.now()):
        raise CommandError("--start: it is not before the end", returncode=WRONG)
    return start, end


def add_instruments(parser: argparse.ArgumentParser) -> None:
    """Add instruments by name, or all that are followed."""
    parser.add_argument("instruments", nargs="*", metavar="INSTRUMENT", help="as binance:BTC/USDT")
    parser.add_argument("--followed", action="store_true", help="every instrument that is followed")


def instruments_of(options: Mapping[str, Any]) -> list[Instrument]:
    """The instruments that were named, or all that are followed: at least one, each once."""
    if bool(options["instruments"]) == options["followed"]:
        raise CommandError("INSTRUMENT: name some, or say --followed", returncode=WRONG)
    if not options["followed"]:
        return named(options["instruments"])
    followed = list(selectors.instruments(active=True, followed=True))
    if not followed:
        raise CommandError("--followed: no instrument is followed", returncode=NOT_WELL)
    return followed


def named(texts: Iterable[str]) -> list[Instrument]:
    """The instruments of these names, each once."""
    return [instrument(text) for text in dict.fromkeys(texts)]


def instrument(text: str, *, argument: str = "INSTRUMENT") -> Instrument:
    """The instrument of this name."""
    try:
        return selectors.instrument_get(text)
    except ValueError as exc:
        raise CommandError(f"{argument}: {text!r}: {exc}", returncode=WRONG) from None
    except Instrument.DoesNotExist:
        raise CommandError(
            f"{argument}: {text} is not known here; candles sync-markets reads what an exchange has",
            returncode=WRONG,
        ) from None


def exchanges(names: Iterable[str], *, argument: str = "EXCHANGE") -> list[str]:
    """These exchanges, each once; all must be ones that candles are taken from."""
    known = conf.exchange_urls()
    found = list(dict.fromkeys(names))
    for name in found:
        if name not in known:
            raise CommandError(
                f"{argument}: no exchange {name!r} here; there is {', '.join(known)}", returncode=WRONG
            )
    return found
