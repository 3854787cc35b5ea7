"""A file of real minutes, served back as it stands."""

from __future__ import annotations

import csv
import gzip
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from apps.stack.exchange.bars import Bars
from apps.stack.exchange.errors import BadFile
from apps.stack.exchange.intervals import MINUTE_MS
from apps.stack.exchange.markets import MAX_DECIMALS, Market, replayed

_VALUES = ("open", "high", "low", "close", "volume")
# Also what pandas writes for very small ones, such as 9e-06.
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_LARGEST = 10**18
_NAMED = re.compile(r"[a-z0-9]+_([a-z0-9]+)_1m(?:[_.]|$)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """The minutes of one file. Minutes that it lacks do not exist.

    What a file of candles does not tell is derived: a minute's trades count as one, its quote volume is
    its volume at the mean of its four prices, and the takers bought half of it.
    """

    market: Market
    path: Path
    bars: Bars = field(repr=False)

    @property
    def kind(self) -> str:
        return "replay"

    @property
    def first(self) -> int:
        return int(self.bars.minute[0])

    @property
    def last(self) -> int | None:
        return int(self.bars.minute[-1])

    def step(self, minute: int, count: int) -> int:
        place = int(np.searchsorted(self.bars.minute, minute)) + count
        return int(self.bars.minute[min(max(place, 0), len(self.bars) - 1)])

    def minutes(self, start: int, stop: int, *, now_ms: int) -> Bars:
        """The file's minutes from *start* to before *stop*."""
        low, high = np.searchsorted(self.bars.minute, [start, max(start, stop)])
        return self.bars.part(int(low), int(high))


def symbol_of(path: Path) -> str:
    """The symbol that a file name such as ``binanceus_btcusdt_1m_2023.csv.gz`` tells, else ``BTCUSDT``."""
    match = _NAMED.match(path.name.lower())
    return match.group(1).upper() if match else "BTCUSDT"


def load(path: Path, symbol: str | None = None) -> Replay:
    """Read *path* (gzip CSV with a header: open_time, open, high, low, close, volume).

    ``open_time`` is ISO text, UTC where it names no offset. Raises `BadFile` for whatever could not be
    replayed: an unreadable file, a missing column, a number or time that is none, minutes out of order
    or twice or in the future, prices that contradict each other.
    """
    symbol = symbol or symbol_of(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            minutes, texts = _read(path, csv.reader(lines))
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadFile(f"{path}: not a whole gzip file: {error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{path}: not a CSV file: {error}") from None
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    return _build(path, symbol, minutes, texts)


def _read(path: Path, rows: Iterator[list[str]]) -> tuple[list[int], tuple[list[str], ...]]:
    """The opening minutes and the five columns of values, as spelled."""
    header = [name.strip().lower() for name in next(rows, [])]
    missing = [name for name in ("open_time", *_VALUES) if name not in header]
    if missing:
        raise BadFile(f"{path}: no column {', '.join(missing)} in its header")
    places = [header.index(name) for name in ("open_time", *_VALUES)]
    minutes: list[int] = []
    columns: tuple[list[str], ...] = tuple([] for _ in _VALUES)
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) < len(header):
            raise BadFile(f"{path}, line {line}: {len(row)} of {len(header)} columns")
        cells = [row[place].strip() for place in places]
        minute = _minute(path, line, cells[0])
        if minutes and minute <= minutes[-1]:
            fault = "comes twice" if minute == minutes[-1] else "is out of order"
            raise BadFile(f"{path}, line {line}: the minute {cells[0]} {fault}")
        minutes.append(minute)
        for column, cell in zip(columns, cells[1:], strict=True):
            column.append(cell)
    if not minutes:
        raise BadFile(f"{path}: no candles")
    if minutes[-1] >= time.time() // 60:
        raise BadFile(f"{path}: its last candle has not ended yet")
    return minutes, columns


def _minute(path: Path, line: int, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadFile(f"{path}, line {line}: open_time is no time: {text!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = moment.timestamp()
    if seconds % 60:
        raise BadFile(f"{path}, line {line}: open_time is not on a minute: {text!r}")
    return int(seconds) // 60


def _build(path: Path, symbol: str, minutes: list[int], texts: Sequence[list[str]]) -> Replay:
    numbers = [
        [_number(path, index, name, text) for index, text in enumerate(column)]
        for name, column in zip(_VALUES, texts, strict=True)
    ]
    price_scale = max(_scale(value) for column in numbers[:4] for value in column)
    lot_scale = max(_scale(value) for value in numbers[4])
    if max(price_scale, lot_scale) > MAX_DECIMALS:
        raise BadFile(f"{path}: a value has more than {MAX_DECIMALS} decimals")
    market = replayed(symbol, price_scale=price_scale, lot_scale=lot_scale, listed_ms=minutes[0] * MINUTE_MS)
    if market is None:
        raise BadFile(f"{path}: the symbol {symbol} is not base and quote asset; name one with --symbol")
    scales = [market.price_scale] * 4 + [market.lot_scale]
    units = [
        [int(value.scaleb(scale)) for value in column] for column, scale in zip(numbers, scales, strict=True)
    ]
    for index, (opening, high, low, close, volume) in enumerate(zip(*units, strict=True)):
        if low <= 0 or volume < 0:
            raise BadFile(f"{path}, candle {index + 1}: a price must be above zero and a volume not below it")
        if high < max(opening, close) or low > min(opening, close):
            raise BadFile(f"{path}, candle {index + 1}: open and close must lie between low and high")
    if max(units[1]) >= 2**63 or sum(units[4]) >= 2**63:
        raise BadFile(f"{path}: its numbers are too large for their {price_scale} and {lot_scale} decimals")
    means = [sum(prices) // 4 for prices in zip(*units[:4], strict=True)]
    columns = [np.array(column, dtype=np.int64) for column in units]
    volume, mean = columns[4], np.array(means, dtype=object)
    bars = Bars(
        minute=np.array(minutes, dtype=np.int64),
        open=columns[0],
        high=columns[1],
        low=columns[2],
        close=columns[3],
        volume=volume,
        quote=mean * volume.astype(object),
        trades=(volume > 0).astype(np.int64),
        taker_base=volume // 2,
        taker_quote=mean * (volume // 2).astype(object),
        text=tuple(texts),
    )
    return Replay(market=market, path=path, bars=bars)


def _number(path: Path, index: int, name: str, text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise BadFile(f"{path}, candle {index + 1}: {name} is no number: {text!r}")
    value = Decimal(text)
    if abs(value) > _LARGEST:
        raise BadFile(f"{path}, candle {index + 1}: {name} is too large: {text!r}")
    return value


def _scale(value: Decimal) -> int:
    """How many decimals *value* needs, 0 for whole numbers of any size."""
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)
