"""The market data of a run: six columns, checked once, identified by their bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.errors import BarsError

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
LOWEST_PRICE = 1e-15
HIGHEST_PRICE = 1e15
_MINUTE = 60_000
LATEST = 2**53  # what JSON readers with one kind of number can hold
_HASHING = Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Bars of one instrument and one timeframe, oldest first.

    Attributes:
        ts: open times, int64 milliseconds since 1970 UTC, strictly increasing and
            within 2**53.
        open, high, low, close: prices, float64, finite and within 1e-15 … 1e15, so that no fill can
            divide by zero or overflow.
        volume: float64, finite and not negative.
        step: milliseconds from one open time to the next where no bar is missing; 0 stands for the
            smallest distance that there is (a minute where there are not two bars).

    All six arrays have shape ``(n,)``, are C-contiguous and read-only; arrays that already fit are not
    copied, so memory-mapped columns stay mapped. ``n`` may be 0.

    Raises:
        BarsError: a column has the wrong kind, shape or length, or holds a value it may not hold.
    """

    ts: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    step: int = 0

    def __post_init__(self) -> None:
        if np.asarray(self.ts).dtype.kind not in "iu":
            raise BarsError("ts must be integer milliseconds")
        for name in ("ts", *PRICES, "volume"):
            column = np.ascontiguousarray(getattr(self, name), np.int64 if name == "ts" else np.float64)
            if column.ndim != 1 or len(column) != len(self.ts):
                raise BarsError(f"{name} must have one value per bar")
            view = column.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        recent = (self.ts >= -LATEST) & (self.ts <= LATEST)
        _require("ts", recent, f"must lie within {LATEST} ms of 1970")
        _require("ts", np.diff(self.ts) > 0, "must increase from bar to bar", shift=1)
        for name in PRICES:
            column = getattr(self, name)
            # NaN fails both comparisons, so this also refuses what is not finite.
            legal = (column >= LOWEST_PRICE) & (column <= HIGHEST_PRICE)
            _require(name, legal, f"must lie within {LOWEST_PRICE:g} and {HIGHEST_PRICE:g}")
        if not self.step:
            smallest = int(np.diff(self.ts).min()) if len(self.ts) > 1 else _MINUTE
            object.__setattr__(self, "step", smallest)
        elif self.step < 0 or (len(self.ts) > 1 and int(np.diff(self.ts).min()) < self.step):
            raise BarsError(f"bars of {self.step} ms cannot be closer than that")
        _require("volume", np.isfinite(self.volume) & (self.volume >= 0), "must be finite and not negative")

    def __len__(self) -> int:
        return len(self.ts)

    def head(self, count: int) -> Bars:
        """The first *count* bars, sharing memory with these."""
        return self.part(0, count)

    def part(self, start: int, stop: int) -> Bars:
        """The bars from *start* to before *stop*, sharing memory with these."""
        part = object.__new__(Bars)  # what is part of checked bars need not be checked again
        for name in ("ts", *PRICES, "volume"):
            object.__setattr__(part, name, getattr(self, name)[start:stop])
        object.__setattr__(part, "step", self.step)
        return part

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the number of bars and the little-endian bytes of the six columns.

        Equal bars have equal fingerprints on every platform, whatever they were loaded from. It is made
        once; a thread that asks for it meanwhile waits.
        """
        with _HASHING:
            known: str | None = vars(self).get("_fingerprint")
            if known is None:
                known = self._hashed()
                object.__setattr__(self, "_fingerprint", known)
        return known

    def _hashed(self) -> str:
        digest = hashlib.sha256(f"bars/1 {len(self)}\n".encode())
        digest.update(self.ts.astype("<i8", copy=False).data)
        for name in (*PRICES, "volume"):
            digest.update(getattr(self, name).astype("<f8", copy=False).data)
        return digest.hexdigest()


def _require(name: str, legal: NDArray[np.bool_], rule: str, *, shift: int = 0) -> None:
    if not legal.all():
        row = int(np.argmin(legal)) + shift
        raise BarsError(f"{name} {rule} (row {row})")
