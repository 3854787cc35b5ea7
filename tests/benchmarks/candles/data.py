"""Minutes to measure with: real ones where the recorded file lies beside the checkout, else a random walk.

What is recorded are 21 days of one market. A year of any market is made of them day by day: the days in an
order drawn by chance, each scaled so that it goes on where the day before ended, with the prices rounded to
the market's tick and the volumes, times a factor of the day, to its step. So no day is there twice in the
same numbers, and every market has as many digits as markets of its price and volume have.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apps.candles.models import Instrument
from apps.candles.quality import CheckedMinutes
from apps.candles.timeframes import DAY, MINUTE, to_ms

_RECORDED = (
    Path(__file__).parents[4] / "shared" / "data" / "binanceus_btcusdt_1m_2023-03-01_2023-03-21.csv.gz"
)
_VALUES = ("open", "high", "low", "close", "volume")
_A_DAY = DAY // MINUTE

#: Where the years begin. It is past, so that all of it can be materialised and compressed.
START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = 365


@dataclass(frozen=True, kw_only=True)
class Market:
    """A market: where its prices begin and what is traded in a minute, roughly, and the decimals of both."""

    base: str
    price: float
    price_scale: int
    volume: float
    volume_scale: int

    @property
    def text(self) -> str:
        """Its instrument in the API."""
        return f"binance:{self.base}/USDT"


#: As exchanges list them. The first has the recorded one's decimals, which are the most.
MARKETS = (
    Market(base="BTC", price=23_000, price_scale=2, volume=4, volume_scale=6),
    Market(base="ETH", price=1600, price_scale=2, volume=120, volume_scale=4),
    Market(base="SOL", price=140, price_scale=2, volume=900, volume_scale=2),
    Market(base="XRP", price=0.61, price_scale=4, volume=60_000, volume_scale=0),
    Market(base="DOGE", price=0.13, price_scale=5, volume=300_000, volume_scale=0),
    Market(base="ADA", price=0.45, price_scale=4, volume=40_000, volume_scale=1),
    Market(base="LINK", price=14.2, price_scale=3, volume=1500, volume_scale=2),
    Market(base="LTC", price=82, price_scale=2, volume=150, volume_scale=3),
    Market(base="AVAX", price=36, price_scale=2, volume=800, volume_scale=2),
    Market(base="DOT", price=7.1, price_scale=3, volume=2500, volume_scale=2),
)
#: Which of them has the most digits in a minute, and so compresses worst.
WORST = MARKETS[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Minutes(CheckedMinutes):
    """Minutes that others are made of."""

    def chosen(self, places: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Minutes:
        """Some of them."""
        arrays = {
            field.name: getattr(self, field.name)[places] for field in fields(self) if field.type != "int"
        }
        return Minutes(**arrays, price_scale=self.price_scale, volume_scale=self.volume_scale)

    def at(self, ts: int) -> Minutes:
        """The one minute at another time."""
        return replace(self, ts=np.array([ts], np.int64))

    def louder(self, by: int) -> Minutes:
        """With so many steps more volume in each."""
        return replace(self, volume=self.volume + by)


@dataclass(frozen=True, kw_only=True)
class _Days:
    """Days of minutes in arrays of shape (days, 1440).

    Prices are parts of the first of the day, volumes of the mean of all days.
    """

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


def origin() -> str:
    """What the minutes are, for the report."""
    if _RECORDED.exists():
        return "minutes made of 21 recorded days of BTC/USDT, in any order, scaled to each market's digits"
    return "minutes of a random walk, as the recorded ones are not here"


def instrument(market: Market) -> Instrument:
    """Make the market's instrument."""
    return Instrument.objects.create(
        exchange="binance",
        symbol=f"{market.base}/USDT",
        base=market.base,
        quote="USDT",
        price_scale=market.price_scale,
        volume_scale=market.volume_scale,
    )


def find(market: Market) -> Instrument:
    """The market's instrument that was made before."""
    return Instrument.objects.get(exchange="binance", symbol=f"{market.base}/USDT")


def many(count: int, *, like: Market | None = None) -> list[Market]:
    """So many markets: those in `MARKETS`, or the one given, again and again under other names."""
    models = MARKETS if like is None else (like,)
    return [
        replace(models[number % len(models)], base=f"{models[number % len(models)].base}{number}")
        for number in range(count)
    ]


@cache
def minutes(market: Market, days: int = YEAR) -> Minutes:
    """So many days of a market from `START` on, every minute of them."""
    recorded, chance = _recorded(), np.random.default_rng([ord(letter) for letter in market.base])
    order = chance.integers(len(recorded.open), size=days)
    # Where each day begins: what the days before it come to, pulled back to the market's price.
    begins = np.empty(days)
    price = market.price
    for number, day in enumerate(order):
        begins[number] = price
        price *= float(recorded.close[day, -1]) * (market.price / price) ** 0.02
    factors = chance.lognormal(0, 0.5, days)[:, None] * market.volume
    arrays = {
        name: np.rint(getattr(recorded, name)[order] * begins[:, None] * 10**market.price_scale)
        for name in ("open", "high", "low", "close")
    }
    arrays["volume"] = np.rint(recorded.volume[order] * factors * 10**market.volume_scale)
    return Minutes(
        ts=to_ms(START) + MINUTE * np.arange(days * _A_DAY, dtype=np.int64),
        **{name: array.astype(np.int64).ravel() for name, array in arrays.items()},
        price_scale=market.price_scale,
        volume_scale=market.volume_scale,
    )


@cache
def _recorded() -> _Days:
    rows = _read() if _RECORDED.exists() else random_walk()
    arrays = {name: rows[:, place].reshape(-1, _A_DAY) for place, name in enumerate(_VALUES)}
    first = arrays["open"][:, :1].copy()
    volume = arrays.pop("volume")
    return _Days(**{name: array / first for name, array in arrays.items()}, volume=volume / volume.mean())


def _read() -> NDArray[np.float64]:
    with gzip.open(_RECORDED, "rt", encoding="ascii") as file:
        return np.array([[float(value) for value in row[1:6]] for row in islice(csv.reader(file), 1, None)])


def random_walk(days: int = 21) -> NDArray[np.float64]:
    """Minutes of some trades each, most of which open at the price at which the one before closed."""
    chance = np.random.default_rng(1)
    count, trades = days * _A_DAY, 12
    calm = np.repeat(chance.lognormal(0, 0.4, count // 60), 60)[:, None]
    steps = chance.standard_t(4, (count, trades)) * calm * 8e-5
    # The first trade of a minute is at the last price of the one before in half of the minutes.
    steps[chance.random(count) < 0.5, 0] = 0
    prices = 23_000 * np.exp(np.cumsum(steps.ravel())).reshape(count, trades)
    volume = chance.lognormal(0, 1.2, count) * calm[:, 0]
    return np.column_stack([prices[:, 0], prices.max(1), prices.min(1), prices[:, -1], volume])
