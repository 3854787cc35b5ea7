"""What a sweep tries: values of parameters, as a grid or drawn at random, always in the same order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from apps.backtests.engine.errors import SpecError

#: A combination: the swept parameters and the others, complete and canonical.
Combination = dict[str, Any]
Validated = Callable[[Mapping[str, Any]], Combination]
Weighed = Callable[[Combination], float]

_RANGE = ("from", "to", "step")
# Draws for each combination that is wanted, at most.
_DRAWS = 50


@dataclass(frozen=True, kw_only=True)
class Span:
    """Any number from *low* to *high*: what only a random sweep can draw from."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Space:
    """Values by parameter, in the order of the strategy's own list of parameters.

    Attributes:
        names: the swept parameters.
        values: of each either the values, in the order given, or a `Span`.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...] | Span, ...]

    @property
    def size(self) -> int | None:
        """How many combinations there are, those that a strategy refuses included; None: without end."""
        if any(isinstance(item, Span) for item in self.values):
            return None
        return math.prod(len(item) for item in self.values if not isinstance(item, Span))


@dataclass(frozen=True, kw_only=True)
class Combinations:
    """The combinations of a sweep; a combination's number is its place in ``kept``.

    Attributes:
        kept: complete, canonical parameters, all different.
        costs: what ``weighed`` said of each; empty without it.
        refused: how many were refused (as fast >= slow).
        repeated: how many came to parameters that were there already.
    """

    kept: tuple[Combination, ...]
    costs: tuple[float, ...] = ()
    refused: int
    repeated: int

    def __len__(self) -> int:
        return len(self.kept)


def space_of(given: object, schema: Mapping[str, Any], *, most: int, spans: bool = False) -> Space:
    """The space that decoded JSON describes: ``{"fast": [5, 9], "slow": {"from": 20, "to": 60, "step": 5}}``.

    *schema* is the strategy's schema of parameters; ranges include both ends. With *spans*, a range of a
    ``number`` without a step stands for every number in it. A parameter has at most *most* values.

    Raises:
        SpecError: naming ``space`` or ``space.<parameter>``.
    """
    if not isinstance(given, Mapping) or not given:
        raise SpecError("space", "must be an object that names at least one parameter")
    properties: Mapping[str, Any] = schema["properties"]
    for name in given:
        if name not in properties:
            raise SpecError(f"space.{name}", f"is no parameter; known are {', '.join(properties)}")
    names = tuple(name for name in properties if name in given)
    return Space(
        names=names,
        values=tuple(_values(given[name], properties[name], f"space.{name}", most, spans) for name in names),
    )


def grid(
    space: Space,
    fixed: Mapping[str, Any],
    validated: Validated,
    *,
    weighed: Weighed | None = None,
    most: int | None = None,
) -> Combinations:
    """Every combination that *validated* and *weighed* accept; the last parameter changes fastest.

    *fixed* has the values of parameters that are not swept. *validated* returns them complete and
    canonical, or raises SpecError; *weighed*, which is not asked again about what is kept, what one costs,
    or likewise.

    Raises:
        SpecError: naming ``space``: nothing is left, or more than *most* are.
    """
    assert space.size is not None
    values = [item for item in space.values if not isinstance(item, Span)]
    candidates = (dict(zip(space.names, found, strict=True)) for found in product(*values))
    found = _kept(candidates, fixed, validated, weighed, None if most is None else most + 1)
    if most is not None and len(found) > most:
        raise SpecError("space", f"has more than {most} combinations, which is the limit")
    return found


def draws(
    space: Space,
    fixed: Mapping[str, Any],
    validated: Validated,
    *,
    samples: int,
    seed: int,
    weighed: Weighed | None = None,
    most: int | None = None,
) -> Combinations:
    """*samples* different combinations that `grid` would keep, drawn with equal chances.

    The same seed draws the same, on any machine and Python. Fewer come where the space has no more, or
    where so much of it is refused that 50 draws for each, or *most* in all, do not find them.
    """
    looks = samples * _DRAWS if most is None else min(samples * _DRAWS, most)
    return _kept(_drawn(space, looks, seed), fixed, validated, weighed, samples)


def _kept(
    candidates: Iterator[Combination],
    fixed: Mapping[str, Any],
    validated: Validated,
    weighed: Weighed | None,
    most: int | None,
) -> Combinations:
    kept: dict[tuple[Any, ...], Combination] = {}
    costs: list[float] = []
    refused = repeated = 0
    error: SpecError | None = None
    for candidate in candidates:
        try:
            complete = validated({**fixed, **candidate})
            key = tuple(complete.values())
            if key in kept:
                repeated += 1
                continue
            if weighed is not None:
                costs.append(weighed(complete))
        except SpecError as exc:
            refused += 1
            error = error or exc
            continue
        kept[key] = complete
        if most is not None and len(kept) >= most:
            break
    if not kept and error is not None:
        # Where nothing is left, the first refusal says why.
        raise SpecError("space", f"leaves no combination: {error}")
    return Combinations(kept=tuple(kept.values()), costs=tuple(costs), refused=refused, repeated=repeated)


def _drawn(space: Space, most: int, seed: int) -> Iterator[Combination]:
    """At most so many candidates, without repetition where the space has an end."""
    # Of this generator only random() is promised to stay the same from version to version.
    uniform = random.Random(seed).random  # noqa: S311 (no secret hangs on it)
    size = space.size
    if size is None:
        for _ in range(most):
            yield {
                name: item.low + (item.high - item.low) * uniform()
                if isinstance(item, Span)
                else item[int(uniform() * len(item))]
                for name, item in zip(space.names, space.values, strict=True)
            }
        return
    # A shuffle of all places of the grid that keeps only those that were moved.
    moved: dict[int, int] = {}
    for first in range(min(size, most)):
        other = first + int(uniform() * (size - first))
        place = moved.get(other, other)
        moved[other] = moved.pop(first, first)
        yield _at(space, place)


def _at(space: Space, place: int) -> Combination:
    """The combination at one place of the grid."""
    found: Combination = {}
    for name, item in zip(reversed(space.names), reversed(space.values), strict=True):
        assert not isinstance(item, Span)
        place, at = divmod(place, len(item))
        found[name] = item[at]
    return {name: found[name] for name in space.names}


def _values(
    given: object, rule: Mapping[str, Any], field: str, most: int, spans: bool
) -> tuple[Any, ...] | Span:
    if isinstance(given, Mapping):
        return _range(given, rule, field, most, spans)
    if not isinstance(given, list | tuple) or not given:
        raise SpecError(field, "must be a list of values, or an object with from, to and step")
    if len(given) > most:
        raise SpecError(field, f"has {len(given)} values; {most} is the limit")
    choices = rule.get("enum")
    for value in given:
        if choices is None:
            _number(value, "number", field)
        elif value not in choices:
            raise SpecError(field, f"must be a list of some of {', '.join(map(str, choices))}")
    if len(set(given)) < len(given):
        raise SpecError(field, "names a value twice")
    return tuple(given)


def _range(
    given: Mapping[str, Any], rule: Mapping[str, Any], field: str, most: int, spans: bool
) -> tuple[Any, ...] | Span:
    kind = rule.get("type")
    if kind not in ("integer", "number"):
        raise SpecError(field, "is not a number and needs a list of values")
    for key in given:
        if key not in _RANGE:
            raise SpecError(f"{field}.{key}", f"is unknown; known are {', '.join(_RANGE)}")
    for key in ("from", "to"):
        if key not in given:
            raise SpecError(f"{field}.{key}", "is required")
    low, high = (_number(given[key], kind, f"{field}.{key}") for key in ("from", "to"))
    if low > high:
        raise SpecError(f"{field}.from", "must be at most to")
    if "step" not in given and kind == "number":
        if not spans:
            raise SpecError(f"{field}.step", "is required in a grid")
        return Span(low=low, high=high)
    step = _number(given.get("step", 1), kind, f"{field}.step")
    if step <= 0:
        raise SpecError(f"{field}.step", "must be greater than 0")
    # A step that fits up to rounding reaches the end.
    steps = (high - low) / step * (1 + 1e-12) + 1e-9
    if steps >= most:
        raise SpecError(field, f"has {steps + 1:.0f} values; {most} is the limit")
    count = int(steps) + 1
    if kind == "integer":
        return tuple(int(low) + at * int(step) for at in range(count))
    # Decimal steps give the decimals that people mean: 0.1 + 2 * 0.1 is 0.3.
    return tuple(min(float(f"{low + at * step:.12g}"), high) for at in range(count))


def _number(value: object, kind: str, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(field, "must be a number")
    if not abs(value) <= 1e15:
        raise SpecError(field, "must be finite")
    if kind == "integer" and value != int(value):
        raise SpecError(field, "must be an integer")
    return float(value)


def fixed_of(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """*params* without the swept ones. Raises SpecError for one that is given twice."""
    for name in params:
        if name in space.names:
            raise SpecError(f"space.{name}", "is fixed by params as well")
    return dict(params)
