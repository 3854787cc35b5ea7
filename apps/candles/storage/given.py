"""What is given to the writer: minutes of several instruments, checked and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.candles.models import Instrument
from apps.candles.storage.exact import LIMIT, ScaleOverflow
from apps.candles.timeframes import MINUTE

#: Rows of several instruments, column by column.
Columns = dict[str, NDArray[np.int64]]

PRICES = ("open", "high", "low", "close")
#: All columns of the minutes.
COLUMNS = ("instrument_id", "ts", *PRICES, "volume")
_VALUES = (*PRICES, "volume")


class Minutes(Protocol):
    """Minutes ready to be stored: int64 arrays of one length, in ascending order of ``ts``.

    ``ts`` is the open time in milliseconds. Prices and volumes are integers: the value times ten to
    the power of the scale given here, which need not be the scale of the instrument.
    """

    @property
    def ts(self) -> NDArray[np.int64]: ...
    @property
    def open(self) -> NDArray[np.int64]: ...
    @property
    def high(self) -> NDArray[np.int64]: ...
    @property
    def low(self) -> NDArray[np.int64]: ...
    @property
    def close(self) -> NDArray[np.int64]: ...
    @property
    def volume(self) -> NDArray[np.int64]: ...
    @property
    def price_scale(self) -> int: ...
    @property
    def volume_scale(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Given:
    """Minutes by instrument, in the order of their ids; instruments without any are left out."""

    pairs: Sequence[tuple[Instrument, Minutes]]
    #: How many minutes there are of each.
    counts: NDArray[np.int64]
    #: All open times (ms), those of the first instrument first.
    ts: NDArray[np.int64]

    @property
    def ids(self) -> list[int]:
        """The instruments' ids."""
        return [instrument.pk for instrument, _ in self.pairs]

    def columns(self) -> Columns:
        """All rows, with the decimals of the instruments, which must have at least as many as the minutes.

        Raises `ScaleOverflow` when a value does not stay below 2^53.
        """
        price = [10 ** (one.price_scale - minutes.price_scale) for one, minutes in self.pairs]
        volume = [10 ** (one.volume_scale - minutes.volume_scale) for one, minutes in self.pairs]
        return {
            "instrument_id": np.repeat(np.array(self.ids, np.int64), self.counts),
            "ts": self.ts,
            **{name: self._scaled(name, volume if name == "volume" else price) for name in _VALUES},
        }

    def _scaled(self, name: str, factors: list[int]) -> NDArray[np.int64]:
        values = np.concatenate([getattr(minutes, name) for _, minutes in self.pairs])
        # No product is looked at: it may be more than 64 bits hold.
        limits: NDArray[np.int64] | int = LIMIT - 1
        if max(factors) > 1:
            limits = np.repeat(np.array([(LIMIT - 1) // factor for factor in factors], np.int64), self.counts)
        beyond = (values > limits) | (values < -limits)
        if beyond.any():
            place = int(np.searchsorted(np.cumsum(self.counts), int(beyond.argmax()), side="right"))
            raise ScaleOverflow(f"{self.pairs[place][0]}: {name} does not fit at the scale of the instrument")
        if max(factors) > 1:
            # A factor that is larger than any value may be has met zeros only.
            values = values * np.repeat(
                np.array([min(factor, LIMIT) for factor in factors], np.int64), self.counts
            )
        return values


def gather(batch: Sequence[tuple[Instrument, Minutes]]) -> Given:
    """Put the minutes of a batch together.

    Raises ValueError when the arrays are not what `Minutes` promises or an instrument is named twice.
    """
    pairs = sorted((pair for pair in batch if _length(pair[1])), key=lambda pair: pair[0].pk)
    ids = [instrument.pk for instrument, _ in pairs]
    if len(set(ids)) < len(ids):
        raise ValueError("an instrument is named twice")
    counts = np.array([len(minutes.ts) for _, minutes in pairs], np.int64)
    ts = np.concatenate([minutes.ts for _, minutes in pairs]) if pairs else np.empty(0, np.int64)
    if np.any(ts % MINUTE):
        raise ValueError("ts holds times that are not whole minutes")
    rises = np.diff(ts) > 0
    rises[np.cumsum(counts)[:-1] - 1] = True
    if not rises.all():
        raise ValueError("ts is not strictly ascending")
    return Given(pairs=pairs, counts=counts, ts=ts)


def _length(minutes: Minutes) -> int:
    """The number of minutes. Raises ValueError unless there are as many of everything, as int64."""
    shape = (len(minutes.ts),)
    for name in ("ts", *_VALUES):
        array = getattr(minutes, name)
        if array.dtype != np.int64 or array.shape != shape:
            raise ValueError(f"{name} is not an int64 array of {shape[0]} minutes")
    return shape[0]
