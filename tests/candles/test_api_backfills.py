"""Backfills over HTTP: how they are asked for, and how they are refused."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from apps.candles.models import Backfill
from apps.tasks.models import TaskRun
from tests.candles.asking import BACKFILLS, problem_of
from tests.candles.helpers import utc

pytestmark = pytest.mark.django_db


def _post(client: Client, body: Any) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(BACKFILLS, text, content_type="application/json")


ASK = {"instrument": "binance:BTC/USDT", "start": "2024-01-01T00:00:00Z", "end": 1_704_326_400_000}


def test_a_backfill_is_accepted_with_a_place_to_ask(staff: Client) -> None:
    response = _post(staff, ASK)
    assert response.status_code == 202
    body = response.json()
    assert (body["instrument"], body["state"], body["progress"]) == ("binance:BTC/USDT", "preparing", 0.0)
    assert (body["chunks_total"], body["rows"], body["errors"]) == (None, 0, [])
    assert response["Location"] == body["url"] == f"http://testserver{BACKFILLS}/{body['id']}"
    backfill = Backfill.objects.get()
    assert (backfill.start, backfill.end) == (utc(2024, 1, 1), utc(2024, 1, 4))
    assert backfill.requested_by == f"user:{get_user_model().objects.get().pk}"
    run = TaskRun.objects.get()
    assert (run.task, run.kwargs) == ("candles.prepare_backfill", {"backfill_id": str(backfill.pk)})
    again = staff.get(response["Location"])
    assert again.json() == body
    TaskRun.objects.filter(pk=run.pk).update(
        state="dead", error={"type": "PermanentError", "message": "no such thing", "trace": ""}
    )
    body = staff.get(response["Location"]).json()
    assert body["state"] == "failed"
    assert body["errors"] == [
        {
            "run": str(run.pk), "state": "dead", "start": None, "end": None,
            "type": "PermanentError", "message": "no such thing",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"instrument": "BTCUSDT"}, ["instrument"]),
        ({"instrument": "nowhere:BTC/USDT"}, ["instrument"]),
        ({"instrument": 5}, ["instrument"]),
        ({"instrument": ["binance:BTC/USDT"]}, ["instrument"]),
        ({"instrument": None}, ["instrument"]),
        ({"instrument": "binance:B\0/USDT"}, ["instrument"]),
        ({"instrument": "binance:B\ud800/USDT"}, ["instrument"]),
        ({"start": "2024-02-01T00:00Z"}, ["start"]),
        ({"start": "2022-01-01T00:00Z"}, ["start"]),
        ({"start": True}, ["start"]),
        ({"start": None}, ["start"]),
        ({"start": 1.5}, ["start"]),
        ({"start": {"at": 1}}, ["start"]),
        ({"start": "2024-01-01T00:00:00"}, ["start"]),
        ({"end": "2199-01-01T00:00Z"}, ["end"]),
        ({"end": 10**30}, ["end"]),
        ({"note": "please", "start": "x"}, ["note"]),
    ],
)
def test_what_is_wrong_with_a_backfill_is_named(
    staff: Client, change: dict[str, Any], fields: list[str]
) -> None:
    problem_of(_post(staff, {**ASK, **change}), 400, *fields)
    assert Backfill.objects.count() == TaskRun.objects.count() == 0


def test_missing_fields_of_a_backfill_are_named(staff: Client) -> None:
    problem_of(_post(staff, {}), 400, "instrument", "start", "end")


@pytest.mark.parametrize("body", ["{", "", "[1, 2]", "null", "5"])
def test_a_body_that_is_no_object_is_refused(staff: Client, body: str) -> None:
    response = _post(staff, body)
    assert response.status_code == 400
    assert response["Content-Type"].startswith("application/problem+json")
    assert Backfill.objects.count() == 0


def test_backfills_are_for_staff(client: Client) -> None:
    problem_of(_post(client, ASK), 401)
    problem_of(client.get(f"{BACKFILLS}/{uuid4()}"), 401)
    client.force_login(get_user_model().objects.create_user("somebody"))
    problem_of(_post(client, ASK), 403)
    problem_of(client.get(f"{BACKFILLS}/{uuid4()}"), 403)


@pytest.mark.parametrize("name", ["2220223d-f060-4f3a-8979-da3942f28309", "nonsense", "1"])
def test_an_unknown_backfill_is_not_found(staff: Client, name: str) -> None:
    problem_of(staff.get(f"{BACKFILLS}/{name}"), 404)
