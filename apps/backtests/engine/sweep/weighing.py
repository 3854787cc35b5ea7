"""Whether a strategy can run with a combination, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.indicators import INDICATORS
from apps.backtests.engine.language import program
from apps.backtests.engine.language.binding import definition
from apps.backtests.engine.language.document import LEVELS, Distance, Document
from apps.backtests.engine.language.nodes import Call, Frame, Name, Node, children
from apps.backtests.engine.language.parameters import values_of
from apps.backtests.engine.strategies import Strategy
from apps.backtests.engine.sweep.space import Combination


class TooMuchToWeigh(ValueError):
    """More parts of expressions than may be looked at."""


@dataclass(kw_only=True)
class Scales:
    """The two halves of ``Strategy.validated``, the cheap one first, for thousands of combinations.

    Each look is counted before it is made, by the parts that it looks at: so what is refused counts, too.

    Attributes:
        needs_stop: whether a combination without a stop-loss is refused, for sizing by risk.
        most: parts that may be looked at.
        parts: that were looked at so far.
    """

    strategy: Strategy
    needs_stop: bool = False
    most: int | None = None
    parts: int = field(default=0, init=False)

    def validated(self, params: Mapping[str, Any]) -> Combination:
        """*params* complete and canonical, in their ranges and as the strategy requires.

        Raises SpecError, and `TooMuchToWeigh`.
        """
        self._count(self._required)
        complete = values_of(self.strategy.schema, params)
        program.check_required(self.strategy.source, complete)
        return complete

    def weighed(self, params: Combination) -> float:
        """Work per bar, as ``Strategy.cost``, with what `validated` gave.

        Raises SpecError where the strategy cannot run so, and `TooMuchToWeigh`.
        """
        self._count(self._bound)
        bound = program.bind(self.strategy.source, params)
        if self.needs_stop and "stop_loss" not in bound.plan.outputs and not bound.scalars.get("stop_loss"):
            raise SpecError("sizing.type", "risk needs a stop-loss to measure the risk by")
        return bound.plan.cost + 1.0

    def _count(self, parts: int) -> None:
        self.parts += parts
        if self.most is not None and self.parts > self.most:
            raise TooMuchToWeigh(f"more than {self.most} parts")

    @cached_property
    def _required(self) -> int:
        """Parts of the conditions on parameters, and the parameters themselves."""
        source = self.strategy.source
        return len(source.params) + sum(parts_of(source, [node]) for node in source.require)

    @cached_property
    def _bound(self) -> int:
        """Parts of all that is computed or is a number of a block."""
        source = self.strategy.source
        orders, risk = source.orders, source.risk
        levels: list[Distance | None] = [getattr(risk, name) for name in LEVELS]
        nodes = [
            *source.signals.values(),
            *(orders.offset, orders.valid_bars, orders.long_price, orders.short_price, risk.time_stop),
            *(level.node for level in levels if level is not None),
        ]
        return parts_of(source, [node for node in nodes if node is not None])


def parts_of(document: Document, nodes: Iterable[Node]) -> int:
    """Names, numbers, operators and calls that are looked at when *nodes* are bound to parameters.

    As then, a let counts once for each timeframe that it is used on, and an indicator with a definition
    counts as that.
    """
    left = [(node, "") for node in nodes]
    seen: set[tuple[str, str]] = set()
    count = 0
    while left:
        node, frame = left.pop()
        count += 1
        if isinstance(node, Frame):
            frame = node.timeframe
        elif isinstance(node, Name) and node.name in document.lets and (node.name, frame) not in seen:
            seen.add((node.name, frame))
            left.append((document.lets[node.name], frame))
        elif isinstance(node, Call) and node.name in INDICATORS and INDICATORS[node.name].definition:
            left.append((definition(INDICATORS[node.name]), frame))
        left += [(child, frame) for child in children(node)]
    return count
