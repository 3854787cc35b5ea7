"""Specifications: what is refused and by what name, and what makes two of them the same."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from apps.backtests.engine import SCHEMA, STRATEGIES, Costs, Execution, Sizing, Spec, SpecError

GOOD: dict[str, Any] = {"strategy": "sma_cross", "params": {"fast": 10, "slow": 30}}

ORDERS = {"entry": "limit", "offset": 0.01, "valid_bars": 2}
RISK = {"stop_loss": {"pct": 0.02}, "base": "fill"}


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"strategy": "martingale"}, "strategy", "must be one of sma_cross"),
        ({"strategy": 7}, "strategy", "must be a name, a strategy document or its text form"),
        ({"strategy": None}, "strategy", "must be a name, a strategy document or its text form"),
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
        (
            {"leverage": 20, "maintenance_margin": 0.05},
            "maintenance_margin",
            "must be less than 1 / leverage",
        ),
        ({"maintenance_margin": True}, "maintenance_margin", "must be a number"),
        ({"max_positions": -1}, "max_positions", "must be at least 0"),
        ({"costs": {"funding": 0.06}}, "costs.funding", "must be at most 0.05"),
        ({"costs": {"fixed": float("nan")}}, "costs.fixed", "must be finite"),
        ({"execution": {"detail": 1}}, "execution.detail", "must be a string"),
        ({"execution": {"fill": None}}, "execution.fill", "must be a string"),
        ({"orders": "limit"}, "orders", "must be an object"),
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
    with pytest.raises(SpecError, match=r"^sizing.value must be at most 1 where it is a fraction$"):
        Spec(strategy="sma_cross", params={"fast": 1, "slow": 2}, sizing=Sizing(value=2))
    with pytest.raises(SpecError, match=r"^costs.taker must be at most 0.25$"):
        Spec(strategy="sma_cross", params={"fast": 1, "slow": 2}, costs=Costs(taker=1))


@pytest.mark.parametrize("kind", ["equity", "risk"])
def test_fractions_are_at_most_one_and_amounts_are_not(kind: str) -> None:
    with pytest.raises(SpecError, match=r"^sizing.value must be at most 1"):
        Spec.from_dict({**GOOD, "sizing": {"type": kind, "value": 1.5}})
    for other in ("cash", "units"):
        assert Spec.from_dict({**GOOD, "sizing": {"type": other, "value": 1.5}}).sizing.value == 1.5


@pytest.mark.parametrize("risk", [None, {"stop_loss": {"pct": 0}}, {"trailing": {"pct": 0.1}}])
def test_risk_sizing_without_a_stop_loss_is_refused(risk: dict[str, Any] | None) -> None:
    with pytest.raises(SpecError, match=r"^sizing.type risk needs a stop-loss"):
        Spec.from_dict({**GOOD, "sizing": {"type": "risk", "value": 0.01}, "risk": risk})


@pytest.mark.parametrize("level", [{"pct": 0.02}, {"distance": "atr(14)"}])
def test_risk_sizing_takes_either_kind_of_stop_loss(level: dict[str, Any]) -> None:
    sized = {**GOOD, "sizing": {"type": "risk", "value": 0.01}, "risk": {"stop_loss": level}}
    assert Spec.from_dict(sized).sizing.type == "risk"


def test_specifications_that_mean_the_same_are_the_same() -> None:
    spec = Spec.from_dict(GOOD)
    spelled_out = Spec.from_dict(
        {
            "execution": {"finalise": "last_close", "detail": None},
            "cash": 10_000,
            "sizing": {"lot": -0.0, "type": "equity"},
            "leverage": 1,
            "pyramiding": 0.0,
            "costs": {},
            "risk": None,
            "params": {"direction": "long", "slow": 30.0, "fast": 10},
            "strategy": "sma_cross",
        }
    )
    from_objects = Spec(**GOOD, sizing=Sizing(), costs=Costs(maker=0), execution=Execution())
    for other in (spelled_out, from_objects):
        assert other == spec
        assert hash(other) == hash(spec)
        assert other.canonical == spec.canonical
    assert spec.canonical.startswith(
        '{"cash":10000.0,'
        '"costs":{"fixed":0.0,"funding":0.0,"maker":0.0,"slippage":0.0,"spread":0.0,"taker":0.0},'
        '"execution":{"detail":null,"fill":"next_open","finalise":"last_close","same_bar":"pessimistic"},'
        '"leverage":1.0,"maintenance_margin":0.005,"max_positions":0,'
        '"params":{"direction":"long","fast":10,"slow":30},"pyramiding":0,'
        '"sizing":{"lot":0.0,"type":"equity","value":1.0},"strategy":{"entry_long":"up",'
    )
    assert spec.spec_hash == "9c7e9bfcf916d4f850e0efe64f8e7b91f34904458f483c116e8f19639b0dfd4f"


def test_what_a_strategy_is_called_does_not_matter() -> None:
    spec = Spec.from_dict(GOOD)
    built_in = STRATEGIES["sma_cross"]
    renamed = {**built_in.document, "name": "mine", "title": "Mine", "description": "As the other."}
    for same in (built_in.text, built_in.document, built_in.source.as_dict(trees=True), renamed):
        other = Spec.from_dict({**GOOD, "strategy": same})
        assert other == spec
        assert other.spec_hash == spec.spec_hash
    assert Spec.from_dict({**GOOD, "strategy": renamed}).as_dict()["strategy"]["title"] == "Mine"


def test_blocks_that_replace_a_strategys_are_part_of_what_it_means() -> None:
    risk = {"stop_loss": {"pct": 0.02}}
    own = {**STRATEGIES["sma_cross"].document, "risk": risk}
    replaced = Spec.from_dict({**GOOD, "risk": risk})
    assert replaced == Spec.from_dict({**GOOD, "strategy": own})
    assert replaced != Spec.from_dict(GOOD)
    assert replaced.definition.document["risk"]["stop_loss"] == {"pct": 0.02}
    with pytest.raises(SpecError, match="stop_loss"):
        Spec.from_dict({**GOOD, "risk": {"stop_loss": {"pct": 2}}})


#: One change of every field of a specification, by its dotted path.
CHANGES: dict[str, Any] = {
    "params.fast": 11,
    "params.direction": "long_short",
    "cash": 10_001,
    "sizing.type": "cash",
    "sizing.value": 0.5,
    "sizing.lot": 1,
    "leverage": 2,
    "maintenance_margin": None,
    "pyramiding": 1,
    "max_positions": 1,
    "costs.maker": 1e-4,
    "costs.taker": 1e-4,
    "costs.fixed": 1e-4,
    "costs.spread": 1e-4,
    "costs.slippage": 1e-4,
    "costs.funding": 1e-4,
    "execution.fill": "close",
    "execution.detail": "1m",
    "execution.same_bar": "optimistic",
    "execution.finalise": "last_open",
    "orders": ORDERS,
    "risk": RISK,
}


def changed(path: str, value: Any) -> Spec:
    name, _, inner = path.partition(".")
    block = {**(GOOD["params"] if name == "params" else {}), inner: value} if inner else value
    return Spec.from_dict({**GOOD, name: block})


def test_every_field_is_part_of_the_hash() -> None:
    hashes = {changed(path, value).spec_hash for path, value in CHANGES.items()}
    assert len(hashes | {Spec.from_dict(GOOD).spec_hash}) == len(CHANGES) + 1
    paths = {
        f"{name}.{inner}" if inner else name
        for name, rule in SCHEMA["properties"].items()
        for inner in rule.get("properties", {"": None})
    }
    assert paths == {path for path in CHANGES if not path.startswith("params.")} | {"strategy", "params"}


@pytest.mark.parametrize("path", CHANGES)
def test_a_specification_survives_json_and_pickle(path: str) -> None:
    spec = changed(path, CHANGES[path])
    assert Spec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_specification_cannot_be_changed() -> None:
    spec = Spec.from_dict(GOOD)
    with pytest.raises(TypeError):
        spec.params["fast"] = 1  # type: ignore[index]
    for owner, name in (
        (spec, "cash"),
        (spec.costs, "taker"),
        (spec.sizing, "lot"),
        (spec.execution, "fill"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(owner, name, 1.0)


def test_the_published_schema_describes_every_field_and_its_default() -> None:
    properties = SCHEMA["properties"]
    assert [item.name for item in dataclasses.fields(Spec) if item.init] == list(properties)
    assert all(rule["description"] for rule in properties.values())
    spec = Spec.from_dict(GOOD)
    for name, rule in properties.items():
        value = getattr(spec, name)
        if "properties" in rule:
            assert [item.name for item in dataclasses.fields(value)] == list(rule["properties"])
            for inner, inner_rule in rule["properties"].items():
                assert inner_rule["description"]
                assert getattr(value, inner) == inner_rule["default"]
        elif name not in GOOD:
            assert value == rule["default"]
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert strategy.schema["type"] == "object"
        assert all(rule["description"] for rule in strategy.schema["properties"].values())
