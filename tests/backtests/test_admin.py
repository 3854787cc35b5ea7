"""Backtests in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.backtests.models import Backtest, BacktestResult
from apps.tasks.models import TaskRun
from tests.backtests.helpers import body, finished, market, post

pytestmark = pytest.mark.django_db

LIST = "/admin/backtests/backtest/"


@pytest.fixture
def desk(admin_user) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.fixture
def two(api, stored) -> tuple[dict, dict]:
    """One that has finished, and one of another instrument that waits."""
    return finished(api, body(stored)), post(api, body(market("ETH/USDT"), timeframe="1h")).json()


def act(desk, action: str, *answers, **more):
    content = {"action": action, "_selected_action": [one["id"] for one in answers], **more}
    return desk.post(LIST, content, follow=True)


def test_the_list_says_how_backtests_stand(desk, two):
    page = desk.get(LIST).content.decode()
    assert "sma_cross on binance:BTC/USDT 15m" in page
    assert "sma_cross on binance:ETH/USDT 1h" in page
    assert "succeeded" in page
    assert f"{two[0]['result']['metrics']['return_pct']:,.2f} %" in page


def test_the_list_asks_as_often_however_long_it_is(desk, two, api, stored):
    with CaptureQueriesContext(connection) as first:
        desk.get(LIST)
    for cash in (1, 2, 3):
        post(api, body(stored, cash=cash))
    with CaptureQueriesContext(connection) as second:
        desk.get(LIST)
    assert len(first) == len(second)


def test_the_list_is_filtered_and_searched(desk, two):
    cases = {
        "state=succeeded": [0],
        "state=scheduled": [1],
        "state=dead": [],
        "timeframe=1h": [1],
        "timeframe=%00": [0, 1],
        "shared=no": [0, 1],
        "shared=yes": [],
        "q=ETH": [1],
        "q=alice": [0, 1],
    }
    for query, found in cases.items():
        page = desk.get(f"{LIST}?{query}").content.decode()
        listed = [place for place, one in enumerate(two) if f"{LIST}{one['id']}/change/" in page]
        assert listed == found, query


def test_the_page_of_one_shows_what_came_of_it(desk, two):
    page = desk.get(f"{LIST}{two[0]['id']}/change/").content.decode()
    assert "profit_factor" in page
    assert two[0]["result"]["fingerprint"] in page
    assert f"/admin/tasks/taskrun/{two[0]['task_run']}/change/" in page
    assert two[0]["id"] in page
    waiting = desk.get(f"{LIST}{two[1]['id']}/change/")
    assert waiting.status_code == 200


def test_backtests_are_cancelled_after_a_question(desk, two):
    asked = act(desk, "cancel", *two)
    assert "Cancel them" in asked.content.decode()
    assert TaskRun.objects.get(pk=two[1]["task_run"]).state == "scheduled"
    done = act(desk, "cancel", *two, answered="yes").content.decode()
    assert "1 cancelled." in done
    assert "has ended already" in done
    assert TaskRun.objects.get(pk=two[1]["task_run"]).state == "cancelled"


def test_backtests_are_deleted_after_a_question_with_their_results(desk, two):
    assert "Delete them" in act(desk, "remove", *two).content.decode()
    assert Backtest.objects.count() == 2
    assert "2 deleted." in act(desk, "remove", *two, answered="yes").content.decode()
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


def test_a_user_is_deleted_with_backtests(desk, two, alice):
    """Django refuses that where it may not delete what goes with a user."""
    page = desk.post(f"/admin/auth/user/{alice.pk}/delete/", {"post": "yes"}, follow=True)
    assert "was deleted successfully" in page.content.decode()
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


def test_one_is_deleted_from_its_page_and_cancelled_before(desk, two):
    assert "delete_selected" not in desk.get(LIST).content.decode()
    for one in two:
        page = desk.post(f"{LIST}{one['id']}/delete/", {"post": "yes"}, follow=True)
        assert "was deleted successfully" in page.content.decode()
    assert TaskRun.objects.get(pk=two[1]["task_run"]).state == "cancelled"
    assert not Backtest.objects.exists()
    assert not BacktestResult.objects.exists()


def test_who_may_only_look_is_offered_no_deed(two, django_user_model):
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_backtest"))
    client = Client()
    client.force_login(viewer)
    page = client.get(LIST).content.decode()
    assert "sma_cross on" in page
    assert 'value="remove"' not in page
    act(client, "remove", *two, answered="yes")
    assert client.post(f"{LIST}{two[0]['id']}/delete/", {"post": "yes"}).status_code == 403
    assert Backtest.objects.count() == 2
