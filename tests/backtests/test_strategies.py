"""Strategies over HTTP."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from apps.backtests.engine import STRATEGIES
from apps.tasks.models import TaskRun

GUARDED = {
    "params": {"n": {"min": 1, "max": 9}, "z": {"min": 0, "max": 9}},
    "require": ["n < 9 / z"],
    "entry_long": "close > close[n]",
}

pytestmark = pytest.mark.django_db


def check(api, content):
    return api.post("/api/v1/strategies/check", content, content_type="application/json")


def test_the_strategies_are_listed_with_the_schema_of_their_parameters(api, client):
    listed = api.get("/api/v1/strategies").json()
    assert {one["name"] for one in listed} == set(STRATEGIES)
    for one in listed:
        assert one["parameters"]["type"] == "object"
        assert one["title"]
    client.logout()
    assert client.get("/api/v1/strategies").status_code == 401


def test_the_schema_of_documents_is_there_for_editors(api, client):
    answer = api.get("/api/v1/strategies/schema")
    assert answer["Content-Type"] == "application/schema+json"
    schema = answer.json()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for one in api.get("/api/v1/strategies").json():
        validator.validate(one["document"])
    assert not validator.is_valid({"entry_long": "close > 1", "code": "x"})
    for accept in ("application/schema+json", "application/json"):
        answer = api.get("/api/v1/strategies/schema", HTTP_ACCEPT=accept)
        assert (answer["Content-Type"], answer.json()) == (accept, schema)
    client.logout()
    assert client.get("/api/v1/strategies/schema").status_code == 401


def test_a_strategy_is_checked_with_its_parameters(api):
    answer = check(api, {"strategy": "sma_cross", "params": {"fast": 5, "slow": 20}}).json()
    assert answer["name"] == "sma_cross"
    assert answer["params"].items() >= {"fast": 5, "slow": 20}.items()
    assert answer["cost"] > 0
    assert answer["parameters"] == STRATEGIES["sma_cross"].schema


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"strategy": "magic"}, "strategy"),
        ({"strategy": 5}, "strategy"),
        ({"strategy": []}, "strategy"),
        ({"strategy": "sma_cross", "params": {"fast": 30, "slow": 20}}, "params.fast"),
        ({"strategy": "sma_cross", "params": {"colour": 1}}, "params.colour"),
        ({"strategy": "sma_cross", "params": 5}, "params"),
        ({"strategy": GUARDED, "params": {"n": 3, "z": 0}}, "params.n"),
        ({}, "strategy"),
        ({"strategy": "sma_cross", "code": "x"}, "code"),
    ],
)
def test_what_is_none_is_refused_and_the_field_is_named(api, content, field):
    refused = check(api, content)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert not TaskRun.objects.exists()
