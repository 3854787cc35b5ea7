"""Spaces of parameters: grids and draws, in an order that never changes."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backtests.engine import STRATEGIES, SpecError
from apps.backtests.engine.sweep import draws, fixed_of, grid, space_of

SMA = STRATEGIES["sma_cross"]
NUMBERS = {
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 100},
        "x": {"type": "number", "minimum": 0, "maximum": 10},
        "kind": {"type": "string", "enum": ["a", "b"]},
    }
}


def anything(params: Any) -> dict[str, Any]:
    return dict(params)


def test_a_grid_is_in_the_order_of_the_strategy_and_drops_what_it_refuses() -> None:
    space = space_of({"slow": {"from": 10, "to": 30, "step": 10}, "fast": [5, 20]}, SMA.schema, most=100)
    assert (space.names, space.size) == (("fast", "slow"), 6)
    found = grid(space, {"direction": "long_short"}, SMA.validated)
    assert [(one["fast"], one["slow"]) for one in found.kept] == [(5, 10), (5, 20), (5, 30), (20, 30)]
    assert (found.refused, found.repeated) == (2, 0)
    assert {one["direction"] for one in found.kept} == {"long_short"}


def test_decimal_steps_are_the_decimals_that_people_mean() -> None:
    space = space_of({"x": {"from": 0.1, "to": 0.7, "step": 0.1}}, NUMBERS, most=100)
    assert space.values == ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),)
    uneven = space_of({"n": {"from": 1, "to": 10, "step": 4}}, NUMBERS, most=100)
    assert uneven.values == ((1, 5, 9),)


def test_values_that_mean_the_same_are_tried_once() -> None:
    found = grid(space_of({"fast": [5, 5.0000001e0, 6]}, SMA.schema, most=9), {"slow": 20}, _rounded)
    assert ([one["fast"] for one in found.kept], found.repeated) == ([5, 6], 1)


def _rounded(params: Any) -> dict[str, Any]:
    return SMA.validated({**params, "fast": round(params["fast"])})


def test_draws_are_different_accepted_and_the_same_for_the_same_seed() -> None:
    space = space_of({"fast": {"from": 1, "to": 200}, "slow": {"from": 2, "to": 400}}, SMA.schema, most=1000)
    found = draws(space, {}, SMA.validated, samples=500, seed=7)
    pairs = [(one["fast"], one["slow"]) for one in found.kept]
    assert len(set(pairs)) == len(pairs) == 500
    assert all(fast < slow for fast, slow in pairs)
    assert found.refused > 50
    assert found == draws(space, {}, SMA.validated, samples=500, seed=7)
    assert found.kept != draws(space, {}, SMA.validated, samples=500, seed=8).kept
    # Recorded: seeds mean the same on every machine and Python.
    assert pairs[:3] == [(65, 307), (31, 70), (15, 199)]


def test_draws_exhaust_a_small_space_without_repetition() -> None:
    space = space_of({"n": {"from": 1, "to": 10}, "kind": ["a", "b"]}, NUMBERS, most=100)
    found = draws(space, {}, anything, samples=50, seed=1)
    every = grid(space, {}, anything)
    assert sorted(map(str, found.kept)) == sorted(map(str, every.kept))
    assert found.kept != every.kept
    counts = [0, 0]
    for seed in range(400):
        (one,) = draws(space, {}, anything, samples=1, seed=seed).kept
        counts[one["kind"] == "b"] += 1
    assert min(counts) > 150  # equal chances


def test_a_range_of_numbers_without_a_step_is_drawn_from_but_is_no_grid() -> None:
    space = space_of({"x": {"from": 2, "to": 3}, "kind": ["a", "b"]}, NUMBERS, most=10, spans=True)
    assert space.size is None
    found = draws(space, {}, anything, samples=40, seed=3)
    values = [one["x"] for one in found.kept]
    assert len(set(values)) == 40
    assert 2 <= min(values) < 2.2 < 2.8 < max(values) <= 3
    with pytest.raises(SpecError, match=r"space\.x\.step is required"):
        space_of({"x": {"from": 2, "to": 3}}, NUMBERS, most=10)


def test_draws_that_nearly_all_are_refused_end() -> None:
    space = space_of({"x": {"from": 0, "to": 10}}, NUMBERS, most=10, spans=True)

    def picky(params: Any) -> dict[str, Any]:
        if params["x"] > 0.5:
            raise SpecError("params.x", "must be small")
        return dict(params)

    found = draws(space, {}, picky, samples=10, seed=1)
    assert 10 == len(found.kept) < found.refused
    with pytest.raises(SpecError, match=r"space leaves no combination: params\.fast must be less than slow"):
        grid(space_of({"fast": [50, 60]}, SMA.schema, most=9), {"slow": 20}, SMA.validated)


@pytest.mark.parametrize("given", [{"n": {"from": 1, "to": 100}, "m": {"from": 1, "to": 100}}, {"x": [0, 1]}])
@pytest.mark.parametrize("spans", [False, True])
def test_a_space_that_refuses_everything_is_left_after_so_many_draws(
    given: dict[str, Any], spans: bool
) -> None:
    schema = {"properties": {**NUMBERS["properties"], "m": NUMBERS["properties"]["n"]}}
    if spans:
        given = {**given, "x": {"from": 0, "to": 1}}
    space = space_of(given, schema, most=100, spans=spans)
    looked: list[int] = []

    def refusing(params: Any) -> dict[str, Any]:
        looked.append(1)
        if len(looked) > 1:
            raise SpecError("params", "are wrong")
        return dict(params)

    for most, limit in ((None, 100), (70, 70)):
        looked.clear()
        assert len(draws(space, {}, refusing, samples=2, seed=1, most=most)) == 1
        assert len(looked) == min(limit, space.size or limit)


def test_a_grid_of_more_than_the_limit_is_refused_at_the_first_too_many() -> None:
    space = space_of({"n": {"from": 1, "to": 100}}, NUMBERS, most=100)
    looked: list[int] = []

    def counted(params: Any) -> dict[str, Any]:
        looked.append(1)
        return dict(params)

    with pytest.raises(SpecError, match="more than 10"):
        grid(space, {}, counted, most=10)
    assert len(looked) == 11
    assert len(grid(space, {}, anything, most=100)) == 100


def test_what_is_kept_is_weighed_once_and_can_be_refused_by_that() -> None:
    space = space_of({"n": [1, 2, 3, 4], "kind": ["a", "b"]}, NUMBERS, most=9)
    asked: list[int] = []

    def weighed(params: Any) -> float:
        asked.append(params["n"])
        if params["n"] == 2:
            raise SpecError("params.n", "is too dear")
        return float(params["n"])

    found = grid(space, {}, lambda params: {"n": params["n"]}, weighed=weighed)
    assert [one["n"] for one in found.kept] == [1, 3, 4]
    assert (found.costs, found.refused, found.repeated) == ((1.0, 3.0, 4.0), 2, 3)
    assert asked == [1, 2, 2, 3, 4]
    drawn = draws(space, {}, anything, samples=6, seed=1, weighed=weighed)
    assert drawn.costs == tuple(float(one["n"]) for one in drawn.kept)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "space"),
        ({}, "space"),
        ({"no": [1]}, "space.no"),
        ({"n": []}, "space.n"),
        ({"n": 5}, "space.n"),
        ({"n": [1, [2]]}, "space.n"),
        ({"n": [1, True]}, "space.n"),
        ({"n": [1, None]}, "space.n"),
        ({"n": [2, 2.0]}, "space.n"),
        ({"n": [2, float("nan")]}, "space.n"),
        ({"n": [10**400]}, "space.n"),
        ({"n": ["2"]}, "space.n"),
        ({"kind": ["a", "\0"]}, "space.kind"),
        ({"kind": ["a", ["b"]]}, "space.kind"),
        ({"kind": ["a", 1]}, "space.kind"),
        ({"n": list(range(51))}, "space.n"),
        ({"n": {"from": 1}}, "space.n.to"),
        ({"n": {"from": 1, "to": 2, "by": 1}}, "space.n.by"),
        ({"n": {"from": 3, "to": 2}}, "space.n.from"),
        ({"n": {"from": 1, "to": 2, "step": 0}}, "space.n.step"),
        ({"n": {"from": 1, "to": 2, "step": 0.5}}, "space.n.step"),
        ({"n": {"from": 1, "to": 2, "step": float("nan")}}, "space.n.step"),
        ({"n": {"from": 1, "to": float("inf")}}, "space.n.to"),
        ({"n": {"from": "1", "to": 2}}, "space.n.from"),
        ({"n": {"from": 1, "to": 1e12}}, "space.n"),
        ({"x": {"from": 0, "to": 1, "step": 1e-300}}, "space.x"),
        ({"x": {"from": 0, "to": 1, "step": 1e-310}}, "space.x"),
        ({"kind": {"from": 1, "to": 2}}, "space.kind"),
    ],
)
def test_what_is_no_space_is_refused_and_the_field_is_named(given: Any, field: str) -> None:
    with pytest.raises(SpecError) as caught:
        space_of(given, NUMBERS, most=50)
    assert caught.value.field == field


def test_a_parameter_is_swept_or_fixed() -> None:
    space = space_of({"fast": [1]}, SMA.schema, most=9)
    assert fixed_of({"slow": 9}, space) == {"slow": 9}
    with pytest.raises(SpecError, match=r"space\.fast"):
        fixed_of({"fast": 3}, space)
