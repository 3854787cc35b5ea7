"""Lists of backtests: filters, orders, pages."""

from __future__ import annotations

import base64
import json
from operator import itemgetter

import pytest

from apps.backtests import selectors
from apps.backtests.models import Backtest
from apps.core.ids import uuid7
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.backtests.helpers import body, finished, market, nothing_heavy, post

pytestmark = pytest.mark.django_db

LIST = "/api/v1/backtests"


def cursor(ordering: str, value: str) -> str:
    """One that nobody was given."""
    made = json.dumps([ordering, value, str(uuid7())])
    return base64.urlsafe_b64encode(made.encode()).decode().rstrip("=")


def pages(api, **query) -> list[list[str]]:
    """The ids of all pages, by their links."""
    found, address = [], f"{LIST}?" + "&".join(f"{name}={value}" for name, value in query.items())
    while address:
        response = api.get(address)
        assert response.status_code == 200, response.content
        found.append([one["id"] for one in response.json()])
        link = response.headers.get("Link")
        address = link.split(">")[0].lstrip("<") if link else None
    return found


def test_a_list_reads_no_results(api, stored, django_assert_num_queries, monkeypatch):
    for cash in (1000, 2000, 3000):
        finished(api, body(stored, cash=cash))
    monkeypatch.setattr(selectors, "read_heavy", nothing_heavy)
    # Session, user, backtests, their runs: however many there are.
    with django_assert_num_queries(4) as captured:
        assert len(api.get(LIST).json()) == 3
    assert not any('"backtests_result"' in query["sql"] for query in captured.captured_queries)


def test_pages_hold_everything_once_in_order(api, stored):
    frames = ["1h", "15m", "1h", "30m", "15m"]
    answers = [post(api, body(stored, timeframe=frame)).json() for frame in frames]
    for ordering in ("-created", "created", "-timeframe", "timeframe", "start", "-end"):
        name = ordering.lstrip("-")
        key = itemgetter("id") if name == "created" else itemgetter(name, "id")
        expected = [one["id"] for one in sorted(answers, key=key, reverse=ordering.startswith("-"))]
        found = pages(api, ordering=ordering, limit=2)
        assert [len(page) for page in found] == [2, 2, 1], ordering
        assert [one for page in found for one in page] == expected, ordering


def test_what_is_made_meanwhile_moves_nothing_between_pages(api, stored):
    first = [post(api, body(stored)).json()["id"] for _ in range(4)]
    response = api.get(f"{LIST}?limit=2")
    post(api, body(stored))
    api.delete(f"{LIST}/{response.json()[0]['id']}")
    following = api.get(response.headers["Link"].split(">")[0].lstrip("<"))
    assert [one["id"] for one in following.json()] == [first[1], first[0]]


def test_filters_hold_together(api, stored):
    other = market("ETH/USDT", seed=8)
    one = finished(api, body(stored, labels=["x", "y"]))
    two = post(api, body(other, timeframe="1h", labels=["y"])).json()
    three = post(api, body(stored, timeframe="1h")).json()
    api.post(f"{three['url']}/cancel")
    api.post(f"{one['url']}/share")

    def found(**query) -> list[str]:
        return [one["id"] for one in api.get(LIST, query).json()]

    assert found(instrument=stored) == [three["id"], one["id"]]
    assert found(instrument=stored, timeframe="1h") == [three["id"]]
    assert found(label="y") == [two["id"], one["id"]]
    assert found(state="succeeded") == [one["id"]]
    assert found(state="scheduled") == [two["id"]]
    assert found(state="cancelled") == [three["id"]]
    assert found(shared="true") == [one["id"]]
    assert found(shared="false") == [three["id"], two["id"]]
    assert found(strategy="sma_cross", instrument=other) == [two["id"]]
    assert found(strategy="none") == []
    assert found(created_since=two["created_at"]) == [three["id"], two["id"]]
    assert found(created_until=two["created_at"]) == [one["id"]]


def test_what_has_lost_its_run_is_found_as_it_is_shown(api, stored):
    done = finished(api, body(stored, cash=6))
    lost = post(api, body(stored)).json()
    fetched = post(api, body(stored, cash=5)).json()
    fetch = TaskRun.objects.get(pk=fetched["task_run"])
    TaskRun.objects.filter(pk=fetch.pk).update(state="succeeded")
    # Its candles came, and the run that computes it has gone.
    Backtest.objects.filter(pk=fetched["id"]).update(fetch_run=fetch.pk, task_run=uuid7())
    TaskRun.objects.exclude(pk=fetch.pk).delete()
    shown = {one["id"]: one["state"] for one in api.get(LIST).json()}
    assert shown == {lost["id"]: "cancelled", fetched["id"]: "cancelled", done["id"]: "succeeded"}
    for state in State.values:
        found = [one["id"] for one in api.get(LIST, {"state": state}).json()]
        assert sorted(found) == sorted(pk for pk, one in shown.items() if one == state)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"state": "happy"}, "state"),
        ({"ordering": "owner"}, "ordering"),
        ({"timeframe": "7m"}, "timeframe"),
        ({"created_since": "yesterday"}, "created_since"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "W10"}, "cursor"),
        ({"cursor": "WyItY3JlYXRlZCIsICIiLCAieCJd"}, "cursor"),
        ({"cursor": cursor("strategy", "\ud800"), "ordering": "strategy"}, "cursor"),
        ({"cursor": cursor("start", "2026-03-01T00:00:00"), "ordering": "start"}, "cursor"),
        ({"cursor": cursor("start", "0001-01-01T00:00:00+23:59"), "ordering": "start"}, "cursor"),
        ({"page": 2}, "page"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(api, query, field):
    refused = api.get(LIST, query)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_a_cursor_is_of_its_order(api, stored):
    for _ in range(2):
        post(api, body(stored))
    link = api.get(f"{LIST}?limit=1").headers["Link"]
    cursor = link.split("cursor=")[1].split(">")[0].split("&")[0]
    assert api.get(f"{LIST}?limit=1&ordering=created&cursor={cursor}").status_code == 400
