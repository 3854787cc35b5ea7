"""Specifications: what is refused and by what name, and what makes two of them the same."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from apps.backtests.engine import SCHEMA, STRATEGIES, Spec, SpecError

GOOD = {"strategy": "sma_cross", "params": {"fast": 10, "slow": 30}}


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"strategy": "martingale"}, "strategy", "must be one of sma_cross"),
        ({"strategy": 7}, "strategy", "must be one of sma_cross"),
        ({"strategy": None}, "strategy", "must be one of sma_cross"),
        ({"params": [10, 30]}, "params", "must be an object"),
        ({"params": {1: 2}}, "params", "must be an object"),
        ({"params": {"fast": 10}}, "params.slow", "is required"),
        ({"params": {"fast": 10, "slow": 30, "size": 1}}, "params.size", "is unknown; known are fast, slow"),
        ({"params": {"fast": "10", "slow": 30}}, "params.fast", "must be an integer"),
        ({"params": {"fast": True, "slow": 30}}, "params.fast", "must be an integer"),
        ({"params": {"fast": 10.5, "slow": 30}}, "params.fast", "must be an integer"),
        ({"params": {"fast": float("nan"), "slow": 30}}, "params.fast", "must be finite"),
        ({"params": {"fast": 0, "slow": 30}}, "params.fast", "must be at least 1"),
        ({"params": {"fast": 10, "slow": 5001}}, "params.slow", "must be at most 5000"),
        ({"params": {"fast": 10, "slow": 10**400}}, "params.slow", "must be at most 5000"),
        ({"params": {"fast": 30, "slow": 30}}, "params.fast", "must be less than slow (30)"),
        (
            {"params": {"fast": 1, "slow": 2, "direction": "short"}},
            "params.direction",
            "must be one of long, long_short",
        ),
        ({"cash": 0}, "cash", "must be greater than 0"),
        ({"cash": 10**400}, "cash", "must be at most 1e+15"),
        ({"cash": "1000"}, "cash", "must be a number"),
        ({"cash": float("inf")}, "cash", "must be finite"),
        ({"costs": {"maker": -0.001}}, "costs.maker", "must be at least 0"),
        ({"costs": {"taker": 0.3}}, "costs.taker", "must be at most 0.25"),
        ({"costs": {"taker": None}}, "costs.taker", "must be a number"),
        ({"costs": {"spread": 1}}, "costs.spread", "must be at most 0.25"),
        ({"costs": {"slippage": False}}, "costs.slippage", "must be a number"),
        ({"costs": {"tacker": 0}}, "costs.tacker", "is unknown; did you mean taker?"),
        ({"costs": 0.1}, "costs", "must be an object"),
        ({"sizing": {"value": 1.01}}, "sizing.value", "must be at most 1"),
        ({"sizing": {"value": 0}}, "sizing.value", "must be greater than 0"),
        ({"sizing": {"type": "kelly"}}, "sizing.type", "must be one of equity, cash, units, risk"),
        ({"sizing": {"lot": -1}}, "sizing.lot", "must be at least 0"),
        ({"execution": {"finalise": "never"}}, "execution.finalise", "must be one of last_close, last_open"),
        ({"leverage": 0.5}, "leverage", "must be at least 1"),
        ({"maintenance_margin": 0.6}, "maintenance_margin", "must be at most 0.5"),
        ({"pyramiding": 1.5}, "pyramiding", "must be an integer"),
        ({"commission": 0.1}, "commission", "is unknown; known are strategy, params, cash"),
    ],
)
def test_an_error_names_its_field(change: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        Spec.from_dict({**GOOD, **change})
    assert caught.value.field == field
    assert caught.value.message.startswith(says)
    assert str(caught.value) == f"{field} {caught.value.message}"


def test_a_strategy_is_required_and_a_direct_construction_is_checked_too() -> None:
    with pytest.raises(SpecError, match=r"^strategy is required$"):
        Spec.from_dict({"params": {}})
    with pytest.raises(SpecError, match=r"^fraction must be at most 1$"):
        Spec(strategy="sma_cross", params={"fast": 1, "slow": 2}, fraction=2)


def test_specifications_that_mean_the_same_are_the_same() -> None:
    spec = Spec.from_dict(GOOD)
    spelled_out = Spec.from_dict(
        {
            "finalise": "last_close",
            "cash": 10_000,
            "lot": -0.0,
            "params": {"direction": "long", "slow": 30.0, "fast": 10},
            "strategy": "sma_cross",
        }
    )
    assert spelled_out == spec
    assert hash(spelled_out) == hash(spec)
    assert spelled_out.canonical == spec.canonical
    assert spec.canonical == (
        '{"cash":10000.0,"commission":0.0,"finalise":"last_close","fraction":1.0,"lot":0.0,'
        '"params":{"direction":"long","fast":10,"slow":30},"slippage":0.0,"spread":0.0,"strategy":"sma_cross"}'
    )
    assert spec.spec_hash == "065766ae38f4c98c45c68c72a4b505915085b00a267f783c317eaf271b819b7a"


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"fast": 11, "slow": 30}},
        {"params": {"fast": 10, "slow": 30, "direction": "long_short"}},
        {"cash": 10_001},
        {"commission": 1e-4},
        {"spread": 1e-4},
        {"slippage": 1e-4},
        {"fraction": 0.5},
        {"lot": 1},
        {"finalise": "last_open"},
    ],
)
def test_every_field_is_part_of_the_hash(change: dict[str, Any]) -> None:
    assert Spec.from_dict({**GOOD, **change}).spec_hash != Spec.from_dict(GOOD).spec_hash


def test_a_specification_survives_json_and_pickle_and_cannot_be_changed() -> None:
    spec = Spec.from_dict({**GOOD, "commission": 0.001})
    assert Spec.from_dict(spec.as_dict()) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(TypeError):
        spec.params["fast"] = 1  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.cash = 1.0  # type: ignore[misc]


def test_the_published_schema_describes_every_field_and_its_default() -> None:
    properties = SCHEMA["properties"]
    assert [item.name for item in dataclasses.fields(Spec)] == list(properties)
    assert all(rule["description"] for rule in properties.values())
    spec = Spec.from_dict(GOOD)
    for name, rule in properties.items():
        if name not in GOOD:
            assert getattr(spec, name) == rule["default"]
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert strategy.schema["type"] == "object"
        assert all(rule["description"] for rule in strategy.schema["properties"].values())
