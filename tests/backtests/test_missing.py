"""Minutes that are missing: refused with the gaps, fetched first, or ignored."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from apps.backtests import fetching
from apps.backtests.models import Backtest, BacktestResult
from apps.candles.models import Backfill, Gap, Instrument
from apps.candles.selectors import BackfillState, backfill_status
from apps.candles.services import refresh_rollups
from apps.candles.storage.partitions import drop_partitions
from apps.candles.storage.writer import write_candles
from apps.tasks.models import TaskRun
from apps.tasks.testing import advance, drain, run_pending
from tests.backtests.helpers import DAYS, END, MS, START, body, finished, market, post
from tests.candles.conftest import exchange, of_partitions
from tests.candles.helpers import instrument, walk

__all__ = ["exchange", "of_partitions"]

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def holed() -> str:
    """Four days of minutes without minutes 100 to 160, 500, and the last hour."""
    made = instrument("BTC/USDT", listed_at=None)
    minutes = walk(DAYS * 1440, start=MS, seed=7)
    at = np.arange(len(minutes.ts))
    write_candles(
        instrument=made, minutes=minutes[((at < 100) | (at >= 160)) & (at != 500) & (at < len(at) - 60)]
    )
    return made.text


def test_missing_minutes_are_refused_and_listed(api, holed, settings):
    refused = post(api, body(holed))
    assert refused.status_code == 409
    assert refused["Content-Type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"] == "/problems/missing-candles"
    assert (problem["gap_count"], problem["missing_minutes"]) == (3, 121)
    assert problem["gaps"] == [
        {
            "instrument": holed,
            "start": (START + 100 * HOUR / 60).isoformat(),
            "end": (START + 160 * HOUR / 60).isoformat(),
            "minutes": 60,
        },
        {
            "instrument": holed,
            "start": (START + 500 * HOUR / 60).isoformat(),
            "end": (START + 501 * HOUR / 60).isoformat(),
            "minutes": 1,
        },
        {"instrument": holed, "start": (END - HOUR).isoformat(), "end": END.isoformat(), "minutes": 60},
    ]
    assert not TaskRun.objects.exists()
    assert not Backtest.objects.exists()
    settings.BACKTESTS_MAX_GAPS_LISTED = 1
    shorter = post(api, body(holed)).json()
    assert len(shorter["gaps"]) == 1
    assert shorter["gap_count"] == 3


def test_what_the_exchange_is_known_not_to_have_is_not_missing(api, holed):
    only = Instrument.objects.get()
    for start, end in ((100, 160), (500, 501)):
        Gap.objects.create(
            instrument=only,
            start=START + start * HOUR / 60,
            end=START + end * HOUR / 60,
            cause=Gap.Cause.NO_TRADES,
            asked_at=START,
        )
    refused = post(api, body(holed)).json()
    assert [gap["minutes"] for gap in refused["gaps"]] == [60]
    assert post(api, body(holed, end=(END - HOUR).isoformat())).status_code == 202


def test_what_lies_before_the_listing_is_not_missing(api, holed):
    early = (START - 24 * HOUR).isoformat()
    content = body(holed, start=early, end=(START + HOUR).isoformat())
    assert post(api, content).json()["missing_minutes"] == 1440
    Instrument.objects.update(listed_at=START)
    assert post(api, content).status_code == 202


def test_missing_minutes_are_ignored_when_asked_for(api, holed):
    answer = finished(api, body(holed, missing="ignore"))
    # Of the bars that the first gap touches, three have no minute at all; of the last hour, four.
    assert answer["result"]["bars"] == DAYS * 96 - 3 - 4
    assert answer["missing"] == "ignore"
    assert not Backfill.objects.exists()


def test_missing_minutes_are_fetched_first_when_asked_for(api, holed, exchange):
    accepted = post(api, body(holed, missing="fetch"))
    assert accepted.status_code == 202, accepted.content
    answer = accepted.json()
    assert answer["state"] == "scheduled"
    assert answer["progress"]["phase"] == "fetching"
    assert answer["progress"]["done"] == 0
    # Two gaps near each other are fetched as one.
    assert answer["progress"]["total"] == 401 + 60
    backfills = Backfill.objects.order_by("start")
    assert [(one.start, one.end) for one in backfills] == [
        (START + 100 * HOUR / 60, START + 501 * HOUR / 60),
        (END - HOUR, END),
    ]
    assert not TaskRun.objects.filter(pk=answer["task_run"]).exists()
    # Of the two queues the one first whose run has to wait.
    drain("backtests")
    assert api.get(answer["url"]).json()["state"] == "scheduled"
    drain("ingest")
    assert api.get(answer["url"]).json()["progress"]["done"] == 461
    advance(60)
    run_pending()
    shown = api.get(answer["url"]).json()
    assert (shown["state"], shown["progress"]) == ("succeeded", None)
    assert shown["result"]["bars"] == DAYS * 96
    # Now nothing is missing, and the result is there.
    again = post(api, body(holed))
    assert again.status_code == 200
    assert again.json()["result"] == shown["result"]


def test_where_nothing_is_missing_nothing_is_fetched(api, stored):
    answer = finished(api, body(stored, missing="fetch"))
    assert answer["result"]["bars"] == DAYS * 96
    assert not Backfill.objects.exists()


def test_an_instrument_without_any_candles_is_fetched(api, exchange):
    made = instrument("BTC/USDT")
    answer = post(api, body(made.text, missing="fetch")).json()
    assert answer["progress"]["total"] == DAYS * 1440
    run_pending()
    advance(60)
    run_pending()
    assert api.get(answer["url"]).json()["result"]["bars"] == DAYS * 96


def test_a_fetch_that_fails_ends_the_backtest_with_the_reason(api, exchange):
    made = instrument("NO/SUCH")
    answer = post(api, body(made.text, missing="fetch")).json()
    run_pending()
    advance(60)
    run_pending()
    shown = api.get(answer["url"]).json()
    assert shown["state"] == "dead"
    assert "the backfill of binance:NO/SUCH has failed" in shown["error"]["message"]
    assert [one["id"] for one in api.get("/api/v1/backtests?state=dead").json()] == [answer["id"]]


def test_what_the_exchange_does_not_serve_is_refused(api, exchange):
    made = instrument("BTC/USD", exchange="kraken")
    refused = post(api, body(made.text, missing="fetch"))
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["missing"]
    assert "kraken serves minutes from" in refused.json()["detail"]
    assert not TaskRun.objects.exists()
    assert not Backfill.objects.exists()


def test_too_much_is_not_fetched(api, holed, exchange, settings):
    settings.BACKTESTS_MAX_FETCH_MINUTES = 460
    refused = post(api, body(holed, missing="fetch"))
    assert [error["field"] for error in refused.json()["errors"]] == ["missing"]
    assert not TaskRun.objects.exists()
    settings.BACKTESTS_MAX_FETCH_MINUTES = 461
    assert post(api, body(holed, missing="fetch")).status_code == 202


def test_what_is_being_fetched_is_not_asked_for_again(api, bob, holed, exchange):
    first = post(api, body(holed, missing="fetch")).json()
    known = set(Backfill.objects.values_list("pk", flat=True))
    assert len(known) == 2
    last = body(holed, start=(END - 2 * HOUR).isoformat(), missing="fetch")
    shorter = post(bob, last).json()
    assert shorter["progress"]["total"] == 60
    assert set(Backfill.objects.values_list("pk", flat=True)) == known
    # A range that was only begun is asked for from where it ends.
    longer = post(api, body(holed, start=(START - HOUR).isoformat(), missing="fetch")).json()
    (more,) = Backfill.objects.exclude(pk__in=known)
    assert (more.start, more.end) == (START - HOUR, START + 100 * HOUR / 60)
    # So it is when the chunks are planned, each as long as it has not been fetched.
    with pytest.raises(RuntimeError, match="still due"):
        drain("ingest", limit=3)
    assert {one.state for one in map(backfill_status, Backfill.objects.all())} == {BackfillState.RUNNING}
    again = post(api, body(holed, cash=5, missing="fetch")).json()
    assert Backfill.objects.count() == 3
    drain("ingest")
    assert Backfill.objects.count() == 3
    run_pending()
    advance(60)
    run_pending()
    for client, answer in ((api, first), (bob, shorter), (api, longer), (api, again)):
        assert client.get(answer["url"]).json()["state"] == "succeeded"


def test_so_many_backtests_of_one_owner_wait_for_candles(api, bob, holed, exchange, settings):
    settings.BACKTESTS_MAX_FETCHING = 2
    content = body(holed, missing="fetch")
    answers = [post(api, {**content, "cash": cash}).json() for cash in (1, 2)]
    refused = post(api, {**content, "cash": 3})
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert "2 of your backtests wait" in refused.json()["detail"]
    assert Backtest.objects.count() == 2
    # Others may, and one's own that need nothing.
    assert post(bob, content).status_code == 202
    assert post(api, body(holed, missing="ignore")).status_code == 202
    api.post(f"{answers[0]['url']}/cancel")
    assert post(api, {**content, "cash": 3}).status_code == 202


def test_what_is_being_fetched_for_one_owner_has_an_end(api, holed, exchange, settings):
    """Who cancels does not stop the backfills."""
    settings.BACKTESTS_MAX_FETCHING, settings.BACKTESTS_MAX_FETCH_MINUTES = 2, 461
    for days in range(3):
        start = START - timedelta(days=days + 10)
        asked = body(holed, start=start.isoformat(), end=(start + 7 * HOUR).isoformat(), missing="fetch")
        answer = post(api, asked)
        if days < 2:
            api.delete(answer.json()["url"])
    assert answer.status_code == 429
    assert "840 minutes are being fetched for you" in answer.json()["detail"]
    drain("ingest")
    assert post(api, asked).status_code == 202


def test_a_backtest_that_waits_for_candles_is_cancelled_at_once(api, holed, exchange):
    answer = post(api, body(holed, missing="fetch")).json()
    cancelled = api.post(f"{answer['url']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    run_pending()
    advance(60)
    run_pending()
    assert api.get(answer["url"]).json()["state"] == "cancelled"
    assert not TaskRun.objects.filter(pk=answer["task_run"]).exists()


def test_a_cancellation_during_the_last_look_for_candles_is_heard(api, holed, exchange, monkeypatch):
    answer = post(api, body(holed, missing="fetch")).json()
    drain("ingest")
    look, states = fetching.backfill_statuses, []

    def meanwhile(backfills):
        """They are all there, and before the run has ended somebody wants no more of it."""
        found = look(backfills)
        if not states:
            states.append("cancelling")
            states.append(api.post(f"{answer['url']}/cancel").status_code)
        return found

    monkeypatch.setattr(fetching, "backfill_statuses", meanwhile)
    drain("backtests", later=True)
    assert states == ["cancelling", 200]
    assert api.get(answer["url"]).json()["state"] == "cancelled"
    assert not TaskRun.objects.filter(pk=answer["task_run"]).exists()
    assert not BacktestResult.objects.exists()


@pytest.mark.parametrize("missing", ["ignore", "refuse"])
def test_a_range_without_any_candle_is_refused(api, stored, missing):
    response = post(api, body(stored, start="2025-01-01T00:00Z", end="2025-01-02T00:00Z", missing=missing))
    if missing == "refuse":
        assert response.status_code == 409
        assert response.json()["missing_minutes"] == 1440
    else:
        assert response.status_code == 400
        assert "There are no candles of" in response.json()["detail"]
    assert not TaskRun.objects.exists()


def test_a_range_that_the_exchange_has_nothing_of_is_refused(api, stored):
    start = START - 24 * HOUR
    Gap.objects.create(
        instrument=Instrument.objects.get(), start=start, end=START, cause="expired", asked_at=START
    )
    refused = post(api, body(stored, start=start.isoformat(), end=START.isoformat(), missing="fetch"))
    assert refused.status_code == 400
    assert "There are no candles of" in refused.json()["detail"]


def test_minutes_of_the_last_bar_count(api, stored):
    """The bar that opens before the end holds minutes after it."""
    late = (END + timedelta(milliseconds=1)).isoformat()
    refused = post(api, body(stored, end=late, timeframe="1h")).json()
    assert refused["missing_minutes"] == 60


def test_ignoring_looks_for_nothing_that_is_missing(api, holed, settings):
    """However many minutes there are: what is there is run on."""
    settings.BACKTESTS_MAX_SEARCH_MINUTES = DAYS * 1440 - 1
    assert post(api, body(holed, missing="ignore")).status_code == 202
    for missing in ("refuse", "fetch"):
        refused = post(api, body(holed, missing=missing))
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json()["errors"]] == ["missing"]
        assert f"{DAYS * 1440} minutes" in refused.json()["detail"]
    settings.BACKTESTS_MAX_SEARCH_MINUTES = DAYS * 1440
    assert post(api, body(holed)).status_code == 409


def test_minutes_of_all_instruments_are_looked_through(api, stored, settings):
    other = market("ETH/USDT", seed=8)
    settings.BACKTESTS_MAX_SEARCH_MINUTES = 2 * DAYS * 1440 - 1
    content = body("", instrument=None, instruments=[stored, other])
    assert post(api, content).status_code == 400
    settings.BACKTESTS_MAX_SEARCH_MINUTES = 2 * DAYS * 1440
    assert post(api, content).status_code == 202


@pytest.mark.parametrize("why", ["listed inside", "in part no longer kept", "a noted gap"])
def test_nothing_to_run_on_is_noticed_where_only_a_part_is_missing(api, stored, settings, why):
    """The instrument has minutes, and none of them in the range."""
    middle, end = END + 24 * HOUR, END + 48 * HOUR
    only = Instrument.objects.get()
    if why == "listed inside":
        Instrument.objects.update(listed_at=middle)
    elif why == "a noted gap":
        Gap.objects.create(instrument=only, start=END, end=middle, cause="expired", asked_at=START)
    else:
        settings.CANDLES_RETENTION_DAYS = (timezone.now() - middle).days
    refused = post(api, body(stored, start=END.isoformat(), end=end.isoformat(), missing="ignore"))
    assert refused.status_code == 400
    assert "There are no candles of" in refused.json()["detail"]
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize("missing", ["ignore", "refuse", "fetch"])
def test_what_is_no_longer_kept_cannot_be_run_on(api, stored, exchange, settings, missing):
    settings.CANDLES_RETENTION_DAYS = 1
    end = END + 48 * HOUR
    refused = post(api, body(stored, start=END.isoformat(), end=end.isoformat(), missing=missing))
    assert refused.status_code == 400
    assert "There are no candles of" in refused.json()["detail"]
    assert not TaskRun.objects.exists()


@pytest.mark.usefixtures("of_partitions")
def test_bars_that_outlive_their_minutes_are_run_on(api, stored, settings):
    refresh_rollups()
    drop_partitions(MS + 60 * 86_400_000)
    settings.CANDLES_RETENTION_DAYS = 1
    for missing in ("ignore", "refuse"):
        assert post(api, body(stored, timeframe="1d", missing=missing)).status_code == 202
        assert post(api, body(stored, timeframe="1m", missing=missing)).status_code == 400
