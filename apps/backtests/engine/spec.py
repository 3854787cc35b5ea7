"""What to run: one validated, canonical value with a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.schema import validated
from apps.backtests.engine.strategies import STRATEGIES

# Rates are bounded below one half, so that spread and slippage together leave a positive price.
_RATE = {"type": "number", "minimum": 0, "maximum": 0.25, "default": 0.0}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Backtest specification",
    "type": "object",
    "additionalProperties": False,
    "required": ["strategy"],
    "properties": {
        "strategy": {
            "type": "string",
            "enum": list(STRATEGIES),
            "description": "Name of a built-in strategy.",
        },
        "params": {
            "type": "object",
            "default": {},
            "description": "Parameters of the strategy, by that strategy's own schema.",
        },
        "cash": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1e15,
            "default": 10_000.0,
            "description": "Money at the start, in the quote currency.",
        },
        "commission": _RATE | {"description": "Fraction of each fill's value, at entry and at exit."},
        "spread": _RATE | {"description": "Bid-ask spread as a fraction of the price, paid whole at entry."},
        "slippage": _RATE | {"description": "Fraction by which each fill is worse than the market price."},
        "fraction": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "default": 1.0,
            "description": "Share of equity put into a position, entry commission included.",
        },
        "lot": {
            "type": "number",
            "minimum": 0,
            "maximum": 1e9,
            "default": 0.0,
            "description": "Sizes are rounded down to a multiple of this; 0 allows any size.",
        },
        "finalise": {
            "type": "string",
            "enum": ["last_close", "last_open"],
            "default": "last_close",
            "description": "Price of the last bar at which a position still open at the end is closed.",
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A backtest specification; ``SCHEMA`` says what each field means and may be.

    Every instance is valid, complete and canonical: defaults are filled in, also in ``params`` (which
    is read-only), and numbers have the type of their schema. Specifications that mean the same are
    therefore equal and have the same hash.

    Raises:
        SpecError: naming the field (``commission``, ``params.fast``).
    """

    strategy: str
    params: Mapping[str, Any] = field(default_factory=dict)
    cash: float = 10_000.0
    commission: float = 0.0
    spread: float = 0.0
    slippage: float = 0.0
    fraction: float = 1.0
    lot: float = 0.0
    finalise: str = "last_close"

    def __post_init__(self) -> None:
        values = validated(SCHEMA, {item.name: getattr(self, item.name) for item in fields(self)})
        values["params"] = MappingProxyType(STRATEGIES[self.strategy].validated(self.params))
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __reduce__(self) -> tuple[Callable[[Mapping[str, Any]], Spec], tuple[dict[str, Any]]]:
        return Spec.from_dict, (self.as_dict(),)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Spec:
        """A specification from decoded JSON; unknown fields are refused, missing ones get their default."""
        return cls(**validated(SCHEMA, values))

    def as_dict(self) -> dict[str, Any]:
        """The complete specification as JSON types; ``from_dict`` of it is equal to this."""
        return {item.name: getattr(self, item.name) for item in fields(self)} | {"params": dict(self.params)}

    @cached_property
    def canonical(self) -> str:
        """The complete specification as ASCII JSON: keys sorted, no spaces, shortest float forms."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def spec_hash(self) -> str:
        """sha256 (hex) of ``spec/1``, a newline and the canonical JSON."""
        return hashlib.sha256(f"spec/1\n{self.canonical}".encode()).hexdigest()


__all__ = ["SCHEMA", "Spec", "SpecError"]
