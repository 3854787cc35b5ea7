"""The addresses of a sweep's page: who may see it, what it tells, and how it is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from django.core import mail
from django.test import Client

from apps.backtests.models import Backtest, Sweep, SweepPick
from apps.backtests.sweeps.mapping import MOST, map_of
from apps.backtests.sweeps.reading import Found, found_of
from apps.candles.selectors import instrument_get
from apps.candles.storage.writer import delete_candles
from apps.core.ids import uuid7
from apps.tasks.testing import run_pending
from tests.backtests.sweeps.conftest import END, START, body, brief, post, run_some

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("small_chunks")
def test_a_document_changes_with_every_chunk_until_all_is_there(
    api: Any, stored: str, settings: Any, admin_user: Any
) -> None:
    answer = post(api, body(stored, walk_forward={"train": "6d", "test": "3d"})).json()
    page, address = (f"/backtests/sweeps/{answer['id']}{end}" for end in ("", "/report.json"))
    assert answer["report_url"] == f"http://testserver{page}"
    chunks = answer["progress"]["chunks"]
    tags, counts = [], []
    for _ in range(3):
        response = api.get(address)
        assert response.status_code == 200
        tags.append(response["ETag"])
        shown = response.json()
        counts.append(shown["progress"]["done"])
        assert (shown["ended"], len(shown["best"])) == (False, min(3, counts[-1]))
        assert api.get(address, headers={"If-None-Match": tags[-1]}).status_code == 304
        run_some(1)
    assert len(set(tags)) == 3
    assert counts == sorted(set(counts))
    assert api.get(address, headers={"If-None-Match": tags[-1]}).status_code == 200

    # The chunks and the end, but not the runs in full that it asks for.
    run_some(chunks - 3 + 1)
    judged = api.get(address)
    shown = judged.json()
    assert (shown["state"], shown["ended"]) == ("succeeded", False)
    assert [(row["url"], row["state"]) for row in shown["best"]] == [(None, "scheduled")] * 3
    run_pending()
    done = api.get(address, headers={"If-None-Match": judged["ETag"]})
    shown = done.json()
    assert (done.status_code, shown["ended"]) == (200, True)
    for row, one in zip(shown["best"], api.get(answer["url"]).json()["best_so_far"], strict=True):
        assert (row["number"], row["metrics"]) == (one["number"], one["metrics"])
        assert row["url"] == f"/backtests/{one['backtest']}"
        report = api.get(row["url"])
        assert f'href="{page}"' in report.content.decode()
    assert [row["deflated"] for row in shown["best"]] == [row["deflated"] for row in shown["overfit"]["best"]]
    assert [fold["params"]["direction"] for fold in shown["walk"]["folds"]] == ["long_short"] * 2
    assert [(one["name"], one["count"], one["places"]) for one in shown["swept"]] == [
        ("fast", 5, [2, 3, 5, 8, 13]),
        ("slow", 4, [10, 20, 30, 40]),
    ]
    assert shown["fixed"] == {"direction": "long_short"}
    assert {"name": "Refused by the strategy", "value": 1} in shown["facts"]

    # What an owner is told, once, and where the admin leads.
    (told,) = mail.outbox
    assert told.to == ["alice@example.com"]
    assert told.subject == f"Sweep finished: 19 of sma_cross on {stored} 1h"
    assert f"{settings.PUBLIC_URL.rstrip('/')}{page}" in told.body
    first = shown["best"][0]
    line = (
        f"fast {first['params']['fast']}, slow {first['params']['slow']}: {first['metrics']['sharpe']:,.3f}"
    )
    assert line in told.body

    backtest = SweepPick.objects.get(rank=1).backtest_id
    desk, stranger = Client(), Client()
    desk.force_login(admin_user)
    stranger.force_login(type(admin_user).objects.create_user("bob"))
    for one in (page, address):
        assert [client.get(one).status_code for client in (api, desk, stranger, Client())] == [
            200, 200, 404, 404,
        ]  # fmt: skip
        assert api.post(one).status_code == 405
        assert api.get(one.replace(answer["id"], str(uuid7()))).status_code == 404
    sent = api.get(page)
    policy = sent["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
    assert "<script>" not in sent.content.decode()
    assert "style=" not in sent.content.decode()
    assert f'href="{page}"' in desk.get(f"/admin/backtests/sweep/{answer['id']}/change/").content.decode()
    linked = desk.get(f"/admin/backtests/backtest/{backtest}/change/").content.decode()
    assert f'href="{page}"' in linked
    assert f'href="/backtests/{backtest}"' in linked


def test_a_shared_report_does_not_tell_of_the_sweep(api: Any, stored: str) -> None:
    post(api, body(stored, best=1))
    run_pending()
    backtest = Backtest.objects.get()
    link = api.post(f"/api/v1/backtests/{backtest.pk}/share").json()["report_url"]
    assert "/backtests/sweeps/" not in Client().get(link).content.decode()


def test_a_sweep_that_was_cancelled_ends(api: Any, few: str) -> None:
    cancelled = post(api, brief(few)).json()
    api.post(f"{cancelled['url']}/cancel")
    run_pending()
    shown = api.get(f"/backtests/sweeps/{cancelled['id']}/report.json").json()
    assert (shown["state"], shown["ended"], shown["best"]) == ("cancelled", True, [])
    assert (shown["overfit"], shown["walk"], shown["error"]) == (None, None, None)
    assert mail.outbox == []


def test_a_sweep_that_came_to_nothing_ends_and_says_why(api: Any, few: str) -> None:
    asked = post(api, brief(few)).json()
    delete_candles(instrument=instrument_get(few), start=START, end=END)
    run_pending()
    shown = api.get(f"/backtests/sweeps/{asked['id']}/report.json").json()
    assert (shown["state"], shown["ended"], shown["best"]) == ("dead", True, [])
    assert (shown["overfit"], shown["walk"], shown["notes"]) == (None, None, [])
    assert "there are no bars" in shown["error"]["message"]
    assert (shown["progress"]["chunks_failed"], mail.outbox) == (1, [])


def test_a_range_of_integers_is_counted_however_it_is_written(api: Any, few: str) -> None:
    document = {
        "name": "own",
        "title": "Own",
        "params": {
            "n": {"type": "integer", "default": 10, "min": 2, "max": 100},
            "stop": {"type": "number", "default": 0.01, "min": 0.001, "max": 0.5},
        },
        "entry_long": "crossover(close, ema(close, n))",
        "risk": {"stop_loss": {"pct": "stop"}},
    }
    space = {"n": {"from": 2.0, "to": 60.0}, "stop": {"from": 0.01, "to": 0.02}}
    changes = {"strategy": document, "params": {}, "method": "random", "samples": 5}
    asked = post(api, brief(few, space=space, **changes)).json()
    shown = api.get(f"/backtests/sweeps/{asked['id']}/report.json").json()
    assert [(one["name"], one["values"], one["count"]) for one in shown["swept"]] == [
        ("n", "2 to 60", 59),
        ("stop", "0.01 to 0.02", None),
    ]


def test_one_parameter_alone_is_one_row_and_many_values_are_put_together(api: Any, stored: str) -> None:
    space = {"fast": {"from": 2, "to": 60}, "slow": {"from": 70, "to": 400}}
    answer = post(api, body(stored, space=space, method="random", samples=90, best=0)).json()
    run_pending()
    row = api.get(answer["heatmap_url"], {"x": "fast"}).json()
    found = found_of(Sweep.objects.get())
    fast, slow = (found.table[f"params.{name}"].to_pylist() for name in ("fast", "slow"))
    assert (row["x"], row["x_ends"], row["y"], row["y_ends"]) == (sorted(set(fast)), None, [], None)
    assert len(row["values"]) == 1
    assert len(row["values"][0]) == len(row["x"])

    drawn = api.get(answer["heatmap_url"], {"x": "fast", "y": "slow"}).json()
    assert max(len(drawn["x"]), len(drawn["y"])) <= 19
    # Each combination is at one place, and at the place that its values say.
    values = found.metric("sharpe")
    for y, across in enumerate(drawn["values"]):
        for x, value in enumerate(across):
            inside = [
                float(values[at])
                for at in range(len(found))
                if not np.isnan(values[at])
                and drawn["x"][x] <= fast[at] < drawn["x_ends"][x]
                and drawn["y"][y] <= slow[at] < drawn["y_ends"][y]
            ]
            assert value == (max(inside) if inside else None)
    for name in ("x", "y"):
        starts, ends = drawn[name], drawn[f"{name}_ends"]
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_places_of_a_map_are_bounded_and_hold_both_ends() -> None:
    count = 3 * MOST
    x = [0.1 * at for at in range(count)]
    table = pa.table({"params.x": x, "sharpe": [float(at) for at in range(count)]})
    found = Found(table=table, params=("x",))
    drawn = map_of(found, "x", None, "sharpe")
    assert drawn.x.ends is not None
    assert len(drawn.x.values) == MOST
    assert (drawn.x.values[0], drawn.x.ends[-1]) == (0.0, x[-1])
    assert drawn.values[0, -1] == count - 1
    assert map_of(Found(table=pa.table({}), params=("x",)), "x", "y", "sharpe").values.shape == (0, 0)
