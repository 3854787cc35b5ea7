"""What a strategy is to the engine: parameters with a schema, and a signal stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Bars, Floats
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.schema import Schema, validated

Params = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """How far a stop, a target or a trailing stop is from the base price.

    Attributes:
        fraction: of the base price; counts where there is no *distance*.
        distance: in units of the price, shape ``(n,)``, as known at the close of the bar that an entry is
            decided on. NaN: an entry decided there has no such level.
    """

    fraction: float = 0.0
    distance: Floats | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Signals:
    """The outcome of the signal stage.

    Attributes:
        bits: uint8, shape ``(n,)``: what is decided at the close of each bar, as a combination of
            ``ENTER_LONG``, ``EXIT_LONG``, ``ENTER_SHORT`` and ``EXIT_SHORT`` of the kernel.
        warmup: index of the first bar on which every indicator has a value; may lie past the end.
        order: how positions are entered: ``market``, ``limit`` or ``stop``.
        long_price, short_price: prices of limit and stop entries decided on a bar, shape ``(n,)``; NaN: none.
        valid_bars: bars on which such an order rests.
        stop_loss, take_profit, trailing: None where there is no such exit.
        time_stop: bars after which a position is left; 0: never.
        base: what levels are measured from: ``fill``, the entry price, or ``signal_close``.
    """

    bits: NDArray[np.uint8]
    warmup: int
    order: str = "market"
    long_price: Floats | None = None
    short_price: Floats | None = None
    valid_bars: int = 1
    stop_loss: Level | None = None
    take_profit: Level | None = None
    trailing: Level | None = None
    time_stop: int = 0
    base: str = "fill"


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A built-in strategy.

    ``schema`` is the JSON Schema of its parameters. ``check`` raises SpecError for combinations that
    a schema cannot refuse. ``signals`` receives valid, complete parameters and guarantees that bit
    *i* depends on bars up to *i* only.
    """

    name: str
    title: str
    schema: Schema
    check: Callable[[Params], None]
    signals: Callable[[Bars, Params], Signals]

    def validated(self, params: Params) -> dict[str, Any]:
        """*params* complete and canonical, or SpecError naming ``params.<parameter>``."""
        result = validated(self.schema, params, prefix="params.")
        try:
            self.check(result)
        except SpecError as error:
            raise SpecError(f"params.{error.field}", error.message) from None
        return result
