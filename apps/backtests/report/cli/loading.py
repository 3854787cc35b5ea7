"""The candles of a run from the command line: from files, without any database, or from the database."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from apps.backtests.engine import Bars, BarsError
from apps.backtests.loading import bars_of
from apps.backtests.report.cli.specfile import Asked
from apps.candles import conf as candles_conf
from apps.candles.cli import arguments
from apps.candles.cli.output import Output
from apps.candles.sources import DataSource, DiskSource, SourceError
from apps.candles.timeframes import TIMEFRAMES, to_datetime, to_ms
from apps.candles.wording import count


def source_of(options: Mapping[str, Any]) -> DataSource:
    """The source that the command line names."""
    if options["source"] == "disk":
        if options["root"] is None:
            raise CommandError("--root: say where the files are", returncode=arguments.WRONG)
        return DiskSource(Path(options["root"]))
    if options["root"] is not None:
        raise CommandError("--root: of --source disk only", returncode=arguments.WRONG)
    from apps.candles.sources.stored import stored_source

    return stored_source()


def load(
    source: DataSource,
    asked: Asked,
    timeframe: str,
    output: Output,
    *,
    span: tuple[datetime, datetime] | None = None,
    field: str = "--timeframe",
) -> dict[str, Bars]:
    """The bars of every instrument, in the order in which they were named; *span* stands for the range.

    *field* is what the timeframe was asked for by, and is named where there are no bars of it.
    A range that is open on a side reaches as far as all instruments have bars. What has not ended will still
    change, and is left out. Raises CommandError.
    """
    try:
        start, end = span or _span(source, asked, timeframe)
        return {name: _bars(source, name, timeframe, start, end, output) for name in asked.instruments}
    except SourceError as exc:
        name = field if exc.field == "timeframe" else f"--{exc.field}"
        raise CommandError(f"{name}: {exc}", returncode=arguments.WRONG) from None
    except DatabaseError as exc:
        raise CommandError(f"the database: {str(exc).strip()}", returncode=arguments.NOT_WELL) from None
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as exc:
        raise CommandError(f"the candles cannot be read: {exc}", returncode=arguments.NOT_WELL) from None


def _span(source: DataSource, asked: Asked, timeframe: str) -> tuple[datetime, datetime]:
    """The range of bars that have ended, and of the database's those whose minutes had time to be stored."""
    settle = timedelta() if isinstance(source, DiskSource) else candles_conf.settle()
    whole = to_datetime(TIMEFRAMES[timeframe].floor(to_ms(datetime.now(UTC) - settle)))
    start, end = _asked(source, asked, timeframe)
    end = min(end, whole)
    if start >= end:
        raise SourceError("start", "no bars lie between start and end")
    return start, end


def _asked(source: DataSource, asked: Asked, timeframe: str) -> tuple[datetime, datetime]:
    """The range as it was asked for; where it is open, as far as all instruments have bars."""
    firsts, lasts = [], []
    for name in asked.instruments:
        if asked.start is not None and asked.end is not None:
            return asked.start, asked.end
        spans = source.available(name)
        if timeframe not in spans:
            held = ", ".join(spans) or "none"
            raise SourceError("timeframe", f"there are no bars of {timeframe} of {name}; there is {held}")
        firsts.append(spans[timeframe].first)
        lasts.append(spans[timeframe].last + timedelta(milliseconds=1))
    return asked.start or max(firsts), asked.end or min(lasts)


def _bars(
    source: DataSource, name: str, timeframe: str, start: datetime, end: datetime, output: Output
) -> Bars:
    try:
        bars = bars_of(source, name, timeframe, start, end)
    except BarsError as exc:
        raise CommandError(f"{name}: {exc}", returncode=arguments.NOT_WELL) from None
    missing = TIMEFRAMES[timeframe].count(to_ms(start), to_ms(end)) - len(bars)
    if missing:
        output.aside(f"{name}: {count(missing, 'bar')} of the range missing, {count(len(bars), 'bar')} there")
    return bars
