"""Whether a strategy can run with a combination, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.language import program
from apps.backtests.engine.language.parameters import values_of
from apps.backtests.engine.strategies import Strategy
from apps.backtests.engine.sweep.space import Combination


class TooMuchToWeigh(ValueError):
    """More steps of plans than may be looked at."""


@dataclass(kw_only=True)
class Scales:
    """The two halves of ``Strategy.validated``, the cheap one first, for thousands of combinations.

    Attributes:
        needs_stop: whether a combination without a stop-loss is refused, for sizing by risk.
        most_steps: of the plans of all combinations together.
        steps: of those that were weighed so far.
    """

    strategy: Strategy
    needs_stop: bool = False
    most_steps: int | None = None
    steps: int = field(default=0, init=False)

    def validated(self, params: Mapping[str, Any]) -> Combination:
        """*params* complete and canonical, in their ranges and as the strategy requires; or SpecError."""
        complete = values_of(self.strategy.schema, params)
        program.check_required(self.strategy.source, complete)
        return complete

    def weighed(self, params: Combination) -> float:
        """Work per bar, as ``Strategy.cost``, with what `validated` gave.

        Raises SpecError where the strategy cannot run so, and `TooMuchToWeigh`.
        """
        bound = program.bind(self.strategy.source, params)
        self.steps += len(bound.plan.steps)
        if self.most_steps is not None and self.steps > self.most_steps:
            raise TooMuchToWeigh(f"more than {self.most_steps} steps")
        if self.needs_stop and "stop_loss" not in bound.plan.outputs and not bound.scalars.get("stop_loss"):
            raise SpecError("sizing.type", "risk needs a stop-loss to measure the risk by")
        return bound.plan.cost + 1.0
