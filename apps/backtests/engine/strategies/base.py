"""What a strategy is to the engine: parameters with a schema, and a signal stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Bars, Floats
from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.kernel import ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT
from apps.backtests.engine.language import limits, program
from apps.backtests.engine.language.document import LEVELS, Document, document
from apps.backtests.engine.language.evaluation import Cache, Result
from apps.backtests.engine.language.parameters import parameters_schema, values_of
from apps.backtests.engine.language.text import write

Params = Mapping[str, Any]

_BITS = {
    "entry_long": ENTER_LONG,
    "exit_long": EXIT_LONG,
    "entry_short": ENTER_SHORT,
    "exit_short": EXIT_SHORT,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Level:
    """Distance of a stop, target or trailing stop from the base price.

    Either ``fraction`` of the base price, or ``distance`` in price, shape ``(n,)``, as known at the close of
    the signal bar; positive, or NaN: no level for an entry decided there.
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
            Nothing is decided before it.
        order: market, limit or stop: how positions are entered.
        long_price, short_price: prices of limit and stop entries, shape ``(n,)``; NaN: no order.
        valid_bars: bars for which such an order stands.
        stop_loss, take_profit, trailing: levels that a position is left at.
        time_stop: bars after which a position is left; 0 for never.
        base: what levels are measured from: fill, or signal_close.
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


@dataclass(frozen=True, eq=False)
class Strategy:
    """A checked strategy document, ready to run.

    Bit *i* of its signals depends on bars up to *i* only.
    """

    source: Document
    _replaced: dict[str, Strategy] = field(default_factory=dict, init=False, repr=False)

    def __reduce__(self) -> tuple[type[Strategy], tuple[Document]]:
        # Not as its JSON form: replaced blocks need not fit the defaults, as those of a document must.
        return Strategy, (self.source,)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def title(self) -> str:
        return self.source.title

    @property
    def description(self) -> str:
        return self.source.description

    @cached_property
    def document(self) -> dict[str, Any]:
        """The complete canonical JSON form, expressions as text: equal strategies have equal ones."""
        return self.source.as_dict()

    @cached_property
    def text(self) -> str:
        """The text form."""
        return write(self.source)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the parameters."""
        return parameters_schema(self.title, self.source.params)

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Higher timeframes that it names; see ``check_timeframes``."""
        return self.source.timeframes

    def validated(self, params: Params) -> dict[str, Any]:
        """*params* complete and canonical, or SpecError naming ``params.<parameter>`` or ``params``.

        Parameters that pass are ones that ``signals`` runs with.
        """
        result = values_of(self.schema, params)
        program.check_required(self.source, result)
        program.bind(self.source, result)
        return result

    def replaced(self, *, orders: Any = None, risk: Any = None) -> Strategy:
        """This strategy with other blocks, decoded JSON; None keeps the block.

        Raises:
            SpecError: below ``orders`` or ``risk``.
        """
        if orders is None and risk is None:
            return self
        try:
            key = json.dumps([orders, risk], sort_keys=True)
        except (TypeError, ValueError, RecursionError):
            # The check of the blocks says what is wrong with them.
            return Strategy(program.replaced(self.source, orders=orders, risk=risk))
        found = self._replaced.get(key)
        if found is None:
            found = Strategy(program.replaced(self.source, orders=orders, risk=risk))
            # Another thread may clear the dictionary at any time: it is not asked again.
            if len(self._replaced) >= 16:
                self._replaced.clear()
            self._replaced[key] = found
        return found

    def check_timeframes(self, step: int) -> None:
        """SpecError where bars of *step* milliseconds cannot be joined to a timeframe it names."""
        program.check_timeframes(self.source, step)

    def cost(self, params: Params) -> float:
        """Work per bar with valid *params*, in passes over a column."""
        return program.bind(self.source, params).plan.cost + 1.0

    def signals(
        self,
        bars: Bars,
        params: Params,
        *,
        check: Callable[[], object] | None = None,
        cache: Cache | None = None,
    ) -> Signals:
        """The signal stage over *bars* with valid, complete *params*.

        *check* is called between computations; what it raises ends the stage. *cache* shares results between
        calls over the same bars.

        Raises:
            SpecError: a timeframe that the strategy names does not fit the bars.
        """
        source = self.source
        bound = program.bind(source, params)
        found = program.evaluate(source, bound, bars, bars.step, check=check, cache=cache)
        count = len(bars)
        bits = np.zeros(count, np.uint8)
        warmup = max((item.start for item in found.values() if isinstance(item, Result)), default=0)
        for name, bit in _BITS.items():
            answer = found.get(name, False)
            if isinstance(answer, Result):
                bits |= answer.value.view(np.uint8) * np.uint8(bit)
            elif answer:
                bits |= np.uint8(bit)
        bits[:warmup] = 0
        levels = {name: _level(name, found, bound.scalars, count) for name in LEVELS}
        long_price, short_price = _prices(source, found, bound.scalars, count)
        return Signals(
            bits=bits,
            warmup=warmup,
            order=source.orders.entry,
            long_price=long_price,
            short_price=short_price,
            valid_bars=int(bound.scalars["valid_bars"]),
            time_stop=int(bound.scalars["time_stop"]),
            base=source.risk.base,
            **levels,
        )

    def has_stop(self, params: Params) -> bool:
        """Whether positions have a stop-loss with valid *params*."""
        level = self.source.risk.stop_loss
        if level is None or level.kind != "pct":
            return level is not None
        return program.bind(self.source, params).scalars["stop_loss"] > 0


def of_document(value: Any, field: str = "strategy", *, defaults: bool = True) -> Strategy:
    """The strategy that a document in JSON form describes. Raises SpecError below *field*.

    Without *defaults* it need not run with the defaults of its parameters, as one whose blocks were replaced.
    """
    source = document(value, field)
    strategy = Strategy(source)
    if len(strategy.text) > limits.LONGEST_DOCUMENT:
        raise SpecError(field, f"is longer than {limits.LONGEST_DOCUMENT} characters in its text form")
    if defaults and all(item.default is not None for item in source.params.values()):
        params = {name: item.default for name, item in source.params.items()}
        program.bind(source, params, field)
        try:
            program.check_required(source, params)
        except SpecError as error:
            raise SpecError(f"{field}.require", f"does not hold for the defaults: {error}") from None
    return strategy


def _level(name: str, found: Mapping[str, Any], scalars: Mapping[str, float], count: int) -> Level | None:
    if name in found:
        return Level(distance=_positive(found[name], count))
    fraction = scalars.get(name, 0.0)
    return Level(fraction=fraction) if fraction else None


def _prices(
    source: Document, found: Mapping[str, Any], scalars: Mapping[str, float], count: int
) -> tuple[Floats | None, Floats | None]:
    orders = source.orders
    if orders.entry == "market":
        return None, None
    if "close" in found:
        offset = scalars["offset"] if orders.entry == "stop" else -scalars["offset"]
        close = found["close"].value
        prices = {"long_price": close * (1.0 + offset), "short_price": close * (1.0 - offset)}
    else:
        prices = {key: _positive(found[key], count) for key in ("long_price", "short_price") if key in found}
    nothing = np.full(count, np.nan)
    long_price = prices.get("long_price", nothing)
    short_price = prices.get("short_price", nothing)
    return long_price, short_price


def _positive(item: Any, count: int) -> Floats:
    """Numbers per bar, NaN where they are not positive and finite."""
    if not isinstance(item, Result):
        return np.full(count, item if 0.0 < item < np.inf else np.nan)
    value: Floats = item.value
    good = (value > 0.0) & (value < np.inf)
    return value if good.all() else np.where(good, value, np.nan)
