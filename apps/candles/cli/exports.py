"""``candles export``: candles into files."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError

from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.files import WRITE_FORMATS, write_candles_file
from apps.candles.sources import Candles, SourceError
from apps.candles.sources.disk import npz_path
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.timeframes import TIMEFRAMES
from apps.candles.wording import count

HELP = "write candles to files, a file for each timeframe, or to stdout"

# What is kept in memory before a disk is used.
_SPOOLED = 64 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instrument", metavar="INSTRUMENT", help="as binance:BTC/USDT")
    parser.add_argument("--to", required=True, metavar="FOLDER|FILE|-", help="a folder, a file, or stdout")
    parser.add_argument(
        "--format", choices=WRITE_FORMATS, help="what the file's ending says; else csv; DiskSource reads npz"
    )
    parser.add_argument(
        "--timeframe", action="append", choices=list(TIMEFRAMES), help="may be repeated (all of them)"
    )
    arguments.add_range(parser)


def handle(options: Mapping[str, Any], output: Output) -> None:
    """Into a folder as ``binance%3ABTC%2FUSDT/1h.csv``; one timeframe alone into a file or to stdout."""
    arguments.instrument(options["instrument"])
    start, end = arguments.range_of(options)
    to, kind, single = _target(options["to"], options["format"])
    names = list(dict.fromkeys(options["timeframe"] or ()))
    if single and len(names) != 1:
        raise CommandError("--timeframe: a file holds one: name it", returncode=arguments.WRONG)
    if to is None and kind != "csv" and output.stdout.isatty():
        raise CommandError(f"--to: {kind} is nothing for a terminal", returncode=arguments.WRONG)
    written = 0
    with output.bars() as bars:
        bar = bars.add(options["instrument"], len(names or TIMEFRAMES))
        for candles in _loaded(options["instrument"], names, start, end):
            bar(written, note=candles.timeframe)
            path = None if to is None else to if single else _path(to, candles, kind)
            try:
                _write(candles, path, kind, output)
            except OSError as exc:
                raise CommandError(f"--to: {exc}", returncode=arguments.NOT_WELL) from None
            written += 1
            bar(written)
            if path is not None:
                output.line(f"{path}: {count(len(candles), 'candle')}")
        bar.end()
    if not single:
        output.line(f"{count(written, 'file')} written")


def _loaded(
    instrument: str, names: list[str], start: datetime | None, end: datetime | None
) -> Iterator[Candles]:
    """What is stored in each of these timeframes, or in all that there are without any.

    Without *start* or *end* the range is open on that side.
    """
    source = TimescaleSource()
    try:
        spans = source.available(instrument)
        # Of minutes that are not kept any more there are roll-ups.
        for name in names or list(spans) or TIMEFRAMES:
            if name not in spans:
                raise CommandError(
                    f"INSTRUMENT: nothing is stored of {instrument}", returncode=arguments.NOT_WELL
                )
            first = start or spans[name].first
            last = end or max(first, spans[name].last + timedelta(milliseconds=1))
            yield source.load(instrument, name, first, max(first, last))
    except SourceError as exc:
        raise CommandError(f"{exc.field}: {exc}", returncode=arguments.WRONG) from None


def _target(to: str, kind: str | None) -> tuple[Path | None, str, bool]:
    """Where to, None for stdout; the format; and whether that is one file.

    A folder is what is one, ends in a slash, or has no ending.
    """
    if to == "-":
        return None, kind or "csv", True
    path = Path(to)
    if path.is_dir() or not path.suffix or to.endswith(("/", os.sep)):
        return path, kind or "csv", False
    ending = path.suffix.removeprefix(".").lower()
    if ending in WRITE_FORMATS and kind not in (None, ending):
        raise CommandError(f"--format: {kind}, and the file is {path.name}", returncode=arguments.WRONG)
    return path, kind or (ending if ending in WRITE_FORMATS else "csv"), True


def _path(root: Path, candles: Candles, kind: str) -> Path:
    """Where `DiskSource` looks for it, with the ending of the format."""
    return npz_path(root, candles.instrument, candles.timeframe).with_suffix(f".{kind}")


def _write(candles: Candles, path: Path | None, kind: str, output: Output) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_candles_file(candles, path, kind)
        return
    # Some formats are written back and forth, which a pipe cannot be.
    with tempfile.SpooledTemporaryFile(_SPOOLED) as file:
        write_candles_file(candles, file, kind)
        file.seek(0)
        output.stdout.flush()
        # Of what Django wraps; it lets everything through that it does not have itself.
        stdout: IO[bytes] = getattr(output.stdout, "buffer")  # noqa: B009
        try:
            shutil.copyfileobj(file, stdout)
            stdout.flush()
        except BrokenPipeError:
            # Whoever read it has enough; Python would complain of it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
