"""What to run: one validated, canonical value with a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.schema import validated
from apps.backtests.engine.strategies import STRATEGIES, Strategy, strategy_of

# Rates are bounded below one half, so that spread and slippage together leave a positive price.
_RATE = {"type": "number", "minimum": 0, "maximum": 0.25, "default": 0.0}


def _block(description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "description": description,
        "properties": properties,
    }


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Backtest specification",
    "type": "object",
    "additionalProperties": False,
    "required": ["strategy"],
    "properties": {
        "strategy": {
            "description": "Name of a built-in strategy, a strategy as an object, or a strategy as text.",
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
        "sizing": _block(
            "How much an entry buys or sells.",
            type={
                "type": "string",
                "enum": ["equity", "cash", "units", "risk"],
                "default": "equity",
                "description": (
                    "What value is: equity, the fraction of the account's equity, times leverage, that goes "
                    "into a position, costs included; cash, the value of the position; units, its size; "
                    "risk, the fraction of equity that is lost when the stop-loss is filled at its price. A "
                    "fraction is cut to what the account can pay for; an amount that it cannot is skipped."
                ),
            },
            value={
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 1e15,
                "default": 1.0,
                "description": "At most 1 where it is a fraction.",
            },
            lot={
                "type": "number",
                "minimum": 0,
                "maximum": 1e9,
                "default": 0.0,
                "description": "Sizes are rounded down to a multiple of this; 0 allows any size.",
            },
        ),
        "leverage": {
            "type": "number",
            "minimum": 1,
            "maximum": 125,
            "default": 1.0,
            "description": "The value of all positions is at most this multiple of equity at an entry.",
        },
        "maintenance_margin": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 0.5,
            "default": 0.005,
            "description": (
                "A position is liquidated at the price at which equity falls to this fraction of the value "
                "of all positions; null: only bankruptcy at a bar's close ends an account. Less than "
                "1 / leverage."
            ),
        },
        "pyramiding": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "default": 0,
            "description": "How often a position may be added to by further entries in its direction.",
        },
        "max_positions": {
            "type": "integer",
            "minimum": 0,
            "maximum": 1_000,
            "default": 0,
            "description": "Positions that may be open at a time, of several instruments; 0: any number.",
        },
        "costs": _block(
            "What trading costs.",
            maker=_RATE | {"description": "Commission of limit entries and take-profits, of a fill's value."},
            taker=_RATE | {"description": "Commission of every other fill, as a fraction of its value."},
            fixed={
                "type": "number",
                "minimum": 0,
                "maximum": 1e9,
                "default": 0.0,
                "description": "Commission of every fill in money, beside the fraction.",
            },
            spread=_RATE | {"description": "Bid-ask spread, a fraction of the price, paid whole at entry."},
            slippage=_RATE
            | {"description": "Fraction by which taker fills, also of stops, are worse than the market."},
            funding={
                "type": "number",
                "minimum": -0.05,
                "maximum": 0.05,
                "default": 0.0,
                "description": (
                    "Fraction of a position's value that longs pay to shorts at 00:00, 08:00 and 16:00 UTC."
                ),
            },
        ),
        "execution": _block(
            "How orders are filled.",
            fill={
                "type": "string",
                "enum": ["next_open", "close"],
                "default": "next_open",
                "description": (
                    "Market orders fill at the next bar's open, or at the close of the decision; where the "
                    "last of the finer bars before that close are missing, at the open of the next one."
                ),
            },
            detail={
                "type": ["string", "null"],
                "default": None,
                "description": "Timeframe of finer bars that orders fill on, as 1m; null: the same bars.",
            },
            same_bar={
                "type": "string",
                "enum": ["pessimistic", "optimistic"],
                "default": "pessimistic",
                "description": "What came first where a bar does not tell: what is worse, or what is better.",
            },
            finalise={
                "type": "string",
                "enum": ["last_close", "last_open"],
                "default": "last_close",
                "description": (
                    "Price of the last bar at which a position still open at the end is closed; at its "
                    "close in any case if it began or grew after the open of that bar."
                ),
            },
        ),
        "orders": {
            "type": ["object", "null"],
            "default": None,
            "description": "Replaces the strategy's own block.",
        },
        "risk": {
            "type": ["object", "null"],
            "default": None,
            "description": "Replaces the strategy's own block.",
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """See ``SCHEMA``."""

    type: str = "equity"
    value: float = 1.0
    lot: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """See ``SCHEMA``."""

    maker: float = 0.0
    taker: float = 0.0
    fixed: float = 0.0
    spread: float = 0.0
    slippage: float = 0.0
    funding: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Execution:
    """See ``SCHEMA``."""

    fill: str = "next_open"
    detail: str | None = None
    same_bar: str = "pessimistic"
    finalise: str = "last_close"


_BLOCKS: dict[str, type[Sizing | Costs | Execution]] = {
    "sizing": Sizing,
    "costs": Costs,
    "execution": Execution,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Spec:
    """A backtest specification; ``SCHEMA`` says what each field means and may be.

    Every instance is valid, complete and canonical: defaults are filled in, also in ``params`` (which
    is read-only), numbers have the type of their schema, and a strategy given as text is the object that
    the text stands for. Specifications that differ only in how they are written down, or in what a
    strategy is called and in descriptions, are equal and have the same hash. The blocks may be given as
    objects of their classes or as decoded JSON.

    Raises:
        SpecError: naming the field (``costs.taker``, ``params.fast``).
    """

    strategy: str | Mapping[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    cash: float = 10_000.0
    sizing: Sizing = Sizing()
    leverage: float = 1.0
    maintenance_margin: float | None = 0.005
    pyramiding: int = 0
    max_positions: int = 0
    costs: Costs = Costs()
    execution: Execution = Execution()
    orders: Mapping[str, Any] | None = None
    risk: Mapping[str, Any] | None = None
    #: The strategy, with the blocks that replace its own.
    definition: Strategy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = validated(
            SCHEMA, {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.init}
        )
        strategy = strategy_of(self.strategy)
        if strategy.name not in STRATEGIES or strategy is not STRATEGIES[strategy.name]:
            values["strategy"] = strategy.document
        definition = strategy.replaced(orders=self.orders, risk=self.risk)
        object.__setattr__(self, "definition", definition)
        values["params"] = MappingProxyType(definition.validated(self.params))
        for name, block in _BLOCKS.items():
            values[name] = block(**values[name])
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.sizing.type in ("equity", "risk") and self.sizing.value > 1:
            raise SpecError("sizing.value", "must be at most 1 where it is a fraction")
        if self.sizing.type == "risk" and not definition.has_stop(self.params):
            raise SpecError("sizing.type", "risk needs a stop-loss to measure the risk by")
        if self.maintenance_margin is not None and self.maintenance_margin * self.leverage >= 1:
            raise SpecError("maintenance_margin", "must be less than 1 / leverage")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and other.canonical == self.canonical

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
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.init}

    @cached_property
    def canonical(self) -> str:
        """What the specification means as ASCII JSON: keys sorted, no spaces, shortest float forms.

        The strategy stands in it as an object, with the blocks that replace its own, and without what only
        describes it.
        """
        meant = self.as_dict() | {"strategy": _meaning(self.definition.document)}
        del meant["orders"], meant["risk"]
        return json.dumps(meant, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def spec_hash(self) -> str:
        """sha256 (hex) of ``spec/2``, a newline and the canonical JSON."""
        return hashlib.sha256(f"spec/2\n{self.canonical}".encode()).hexdigest()


def _meaning(document: Mapping[str, Any]) -> dict[str, Any]:
    """A strategy without its names and descriptions."""
    meant = {key: value for key, value in document.items() if key not in ("name", "title", "description")}
    described = document["params"].items()
    meant["params"] = {name: {**rule, "description": ""} for name, rule in described}
    return meant


def _plain(value: Any) -> Any:
    """A field's value as JSON types."""
    if isinstance(value, Sizing | Costs | Execution):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else value


__all__ = ["SCHEMA", "Costs", "Execution", "Sizing", "Spec", "SpecError"]
