"""Strategies over HTTP."""

from __future__ import annotations

import pytest

from apps.backtests.engine import STRATEGIES
from apps.tasks.models import TaskRun

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
        ({}, "strategy"),
        ({"strategy": "sma_cross", "code": "x"}, "code"),
    ],
)
def test_what_is_none_is_refused_and_the_field_is_named(api, content, field):
    refused = check(api, content)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert not TaskRun.objects.exists()
