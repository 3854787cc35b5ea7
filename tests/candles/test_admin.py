"""Instruments, exchanges, backfills and gaps in the admin, and the state of the migrations."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.candles import services
from apps.candles.models import Backfill, Exchange, Gap, Instrument, QuarantinedCandle
from apps.candles.services import raise_scale, write_candles
from apps.candles.storage import stores
from apps.candles.timeframes import minute_of, to_ms
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.candles.admining import XSS, act, answer, cells, listed, listing, page_of, staff, text, told
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import instrument, stored, utc, walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(admin_client: Client) -> Client:
    return admin_client


def runs(task: str) -> list[dict[str, Any]]:
    return [run.kwargs for run in TaskRun.objects.filter(task=task).order_by("requested_at", "pk")]


def gap(market: Instrument, minute: int = 0, **fields: Any) -> Gap:
    start = utc(2024, 1, 1) + timedelta(minutes=minute)
    values = {"end": start + timedelta(minutes=5), "cause": "no_trades", "asked_at": timezone.now(), **fields}
    return Gap.objects.create(instrument=market, start=start, **values)


# Instruments --------------------------------------------------------------------------------------


def test_instruments_show_what_is_stored_and_how_late_they_are(operator: Client) -> None:
    now = minute_of(timezone.now())
    late, fresh, empty = (
        instrument(symbol, followed=True) for symbol in ("LATE/USDT", "FRESH/USDT", "NONE/USDT")
    )
    write_candles(instrument=late, minutes=walk(3))
    write_candles(instrument=fresh, minutes=walk(3, start=to_ms(now - timedelta(minutes=3))))
    page = text(operator.get(listing("instrument"), {"o": "2"}))
    assert cells(page, "symbol") == ["FRESH/USDT", "LATE/USDT", "NONE/USDT"]
    assert cells(page, "span")[1:] == ["2024-01-01 00:00 2024-01-01 00:02", ""]
    assert page.count("row-late") == 1
    assert "2024-01-01 00:00 to 2024-01-01 00:02 UTC" in text(operator.get(page_of(late)))
    assert reverse("chart", args=["binance", "LATE/USDT"]) in text(operator.get(page_of(late)))
    assert "none" in text(operator.get(page_of(empty)))


def test_only_whether_it_is_followed_can_be_changed(operator: Client) -> None:
    market = instrument("BTC/USDT")
    # Somebody raises a scale while the page is open.
    raise_scale(instrument=Instrument.objects.get(), price_scale=4, volume_scale=5)
    changed = {"followed": "on", "price_scale": "0", "symbol": "X/Y", "active": ""}
    assert operator.post(page_of(market), changed).status_code == 302
    market.refresh_from_db()
    assert (market.followed, market.active, market.price_scale, market.symbol) == (True, True, 4, "BTC/USDT")
    assert operator.get("/admin/candles/instrument/add/").status_code == 403
    assert operator.post(f"/admin/candles/instrument/{market.pk}/delete/", {"post": "yes"}).status_code == 403
    elsewhere = Instrument.objects.create(
        exchange="coinbase", symbol="A/B", base="A", quote="B", price_scale=2, volume_scale=2
    )
    assert "Nothing is fetched from coinbase here" in text(
        operator.post(page_of(elsewhere), {"followed": "on"})
    )


def test_instruments_are_found_and_filtered(operator: Client) -> None:
    one = instrument("BTC/USDT", venue_id="XBTUSDT", followed=True)
    other = instrument("ETH/USDT", active=False)
    for query, wanted in (
        ({"q": "btc"}, [one]), ({"q": "XBT"}, [one]), ({"q": "ETH"}, [other]), ({"q": "no"}, []),
        ({"followed__exact": "1"}, [one]), ({"active__exact": "0"}, [other]),
        ({"exchange": "binance"}, [one, other]), ({"exchange": "kraken"}, []), ({"kind__exact": "swap"}, []),
    ):  # fmt: skip
        assert listed(operator, "instrument", **query) == [row.pk for row in wanted], query


def test_instruments_are_followed_and_left_by_an_action_that_is_logged(operator: Client) -> None:
    one, other = instrument("BTC/USDT"), instrument("ETH/USDT", followed=True)
    unknown = instrument("A/B")
    Instrument.objects.filter(pk=unknown.pk).update(exchange="coinbase")
    done = act(operator, "instrument", "follow", [one, other, unknown])
    assert told(done) == [
        "Not followed: coinbase:A/B: nothing is fetched from coinbase here.",
        "1 instrument followed now.",
    ]
    assert set(Instrument.objects.filter(followed=True)) == {one, other}
    assert [(log.object_id, log.change_message) for log in LogEntry.objects.all()] == [
        (str(one.pk), "Followed.")
    ]
    assert told(act(operator, "instrument", "unfollow", [one, other])) == [
        "2 instruments not followed any more."
    ]
    assert not Instrument.objects.filter(followed=True).exists()


def test_gaps_of_instruments_are_repaired_by_tasks_after_a_question(
    operator: Client, exchange: SimulatedExchange
) -> None:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(20)[[0, 1, 19]])
    asked = act(operator, "instrument", "repair_gaps", [market])
    assert market.text in text(asked)
    assert runs("candles.repair") == []
    done = answer(operator, "instrument", asked)
    assert told(done) == ["Gaps of 1 instrument are being repaired by tasks."]
    assert runs("candles.repair") == [
        {"instrument_id": market.pk, "start": None, "end": None, "again": False}
    ]
    [run] = TaskRun.objects.filter(task="candles.repair")
    assert run.meta["actor"].startswith("user:")
    run_pending()
    assert len(stored("candle_1m", market)) > 10
    answer(operator, "instrument", asked, again="on")
    assert runs("candles.repair")[-1]["again"] is True


def test_what_there_is_no_exchange_for_is_told_and_not_asked_for(operator: Client) -> None:
    good, unknown = instrument("BTC/USDT"), instrument("A/B")
    Instrument.objects.filter(pk=unknown.pk).update(exchange="coinbase")
    hole = gap(unknown)
    for model, action, rows, words in (
        ("instrument", "repair_gaps", [good, unknown], "Gaps of 1 instrument"),
        ("gap", "ask_again", [hole], "0 gaps being asked for"),
    ):
        done = told(answer(operator, model, act(operator, model, action, rows)))
        assert words in done[0]
        assert "no exchange 'coinbase' here" in done[1]
    assert len(runs("candles.repair")) == 1


def test_a_backfill_is_asked_for_with_a_range(operator: Client, settings: Any) -> None:
    settings.CANDLES_MAX_BACKFILL_DAYS = 30
    one, other = instrument("BTC/USDT"), instrument("ETH/USDT")
    asked = act(operator, "instrument", "backfill", [one, other])
    assert one.text in text(asked)
    assert other.text in text(asked)
    done = answer(operator, "instrument", asked, start="2024-01-01T00:00", end="2024-02-10T12:30")
    assert told(done) == ["4 backfills asked for."]
    assert done.request["PATH_INFO"] == listing("backfill")
    found = Backfill.objects.filter(symbol="BTC/USDT").order_by("start")
    assert [(row.start, row.end) for row in found] == [
        (utc(2024, 1, 1), utc(2024, 1, 31)), (utc(2024, 1, 31), utc(2024, 2, 10, 12, 30)),
    ]  # fmt: skip
    assert found[0].requested_by.startswith("user:")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start": ""}, "This field is required"),
        ({"start": "soon"}, "Enter a valid date/time"),
        ({"start": "2024-01-02T00:00", "end": "2024-01-01T00:00"}, "start must be at least a whole minute"),
        ({"start": "2024-01-02T00:00", "end": "2199-01-01T00:00"}, "end is in the future"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_asked_for_of_none(
    operator: Client, fields: dict[str, str], words: str
) -> None:
    asked = act(operator, "instrument", "backfill", [instrument("BTC/USDT"), instrument("ETH/USDT")])
    again = answer(operator, "instrument", asked, **fields)
    assert words in text(again)
    assert Backfill.objects.count() == TaskRun.objects.count() == 0
    assert told(answer(operator, "instrument", again, start="2024-01-01T00:00", end="2024-01-02T00:00"))


# Exchanges ----------------------------------------------------------------------------------------


def test_exchanges_show_whether_they_rest_and_why_and_what_cannot_be_read(operator: Client) -> None:
    instrument("BTC/USDT", followed=True)
    instrument("ETH/USDT")
    binance = Exchange.objects.create(
        name="binance", resting_until=timezone.now() + timedelta(hours=1), resting_reason=f"too many {XSS}",
        catalogue_at=timezone.now() - timedelta(hours=3, minutes=1),
        unreadable=[{"symbol": "A/B", "venue_id": "AB", "kind": "spot", "reason": "no tick size"}],
    )  # fmt: skip
    Exchange.objects.create(name="kraken", resting_until=timezone.now() - timedelta(hours=1))
    page = text(operator.get(listing("exchange")))
    assert [bool(cell) for cell in cells(page, "resting")] == [True, False]
    assert cells(page, "catalogue")[0].startswith("3 h 1 m old")
    assert cells(page, "catalogue")[1] == "never read"
    assert cells(page, "instruments") == ["2, of which 1 are followed", "0, of which 0 are followed"]
    assert cells(page, "unreadable_count") == ["1", ""]
    one = text(operator.get(page_of(binance)))
    assert "no tick size" in one
    assert XSS not in page + one


def test_a_list_of_markets_is_read_by_a_task_also_of_an_exchange_never_asked(
    operator: Client, exchange: SimulatedExchange
) -> None:
    page = text(operator.get(listing("exchange")))
    for name in ("binance", "bybit", "kraken"):
        assert f"Read the list of markets of {name}" in page
    read = reverse("admin:candles_exchange_read")
    assert operator.get(read).status_code == 405
    done = operator.post(read, {"exchange": "kraken"}, follow=True)
    assert "The list of markets of kraken is read by" in told(done)[0]
    run_pending()
    assert Instrument.objects.filter(exchange="kraken").exists()
    page = text(operator.get(listing("exchange")))
    assert "Read the list of markets of kraken" not in page
    known = Exchange.objects.get()
    assert "Read the list of markets now" in text(operator.get(page_of(known)))
    act(operator, "exchange", "read_markets", [known])
    assert runs("candles.sync_markets") == [{"exchange": "kraken"}] * 2
    assert told(operator.post(read, {"exchange": XSS}, follow=True))[0].startswith("no exchange")


# Backfills ----------------------------------------------------------------------------------------


def test_backfills_show_how_far_they_are_and_lead_to_their_tasks(operator: Client) -> None:
    backfill = services.backfill_request(
        instrument_id_text="binance:BTC/USDT", start=utc(2024, 1, 1), end=utc(2024, 1, 5), actor="user:7"
    )
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    chunks = list(backfill.chunks.all())
    task_runs = [chunk.task_run for chunk in chunks]
    TaskRun.objects.filter(pk=backfill.prepare_run).update(state="succeeded")
    TaskRun.objects.filter(pk=task_runs[0]).update(
        state="succeeded", started_at=timezone.now() - timedelta(minutes=30)
    )
    backfill.chunks.filter(pk=chunks[0].pk).update(rows=4316, quarantined=4)
    page = text(operator.get(listing("backfill")))
    [state] = cells(page, "state_and_eta")
    # With the time at which it will be done.
    assert re.fullmatch(r"running \d\d-\d\d \d\d:\d\d:\d\d", state)
    assert (cells(page, "share"), cells(page, "stored")) == (["75% 1 of 2 chunks"], ["4,316 4"])
    TaskRun.objects.filter(pk=task_runs[0]).update(result={"not_served": 1234})
    assert cells(text(operator.get(listing("backfill"))), "stored") == ["4,316 4, 1,234 not served"]
    TaskRun.objects.filter(pk=task_runs[1]).update(
        state="dead", error={"type": "RejectedCandles", "message": "close <b>is</b> NaN", "trace": ""}
    )
    page = text(operator.get(page_of(backfill)))
    assert "failed" in page
    assert "1,234" in page
    assert "close &lt;b&gt;is&lt;/b&gt; NaN" in page
    for run in (backfill.prepare_run, *task_runs):
        assert f"/admin/tasks/taskrun/{run}/change/" in page
    assert operator.get("/admin/candles/backfill/add/").status_code == 403
    assert cells(text(operator.get(listing("backfill"), {"q": "eth"})), "share") == []


# Gaps ---------------------------------------------------------------------------------------------


def test_gaps_are_listed_with_length_and_cause_and_found(operator: Client) -> None:
    one, other = instrument("BTC/USDT"), instrument("ETH/USDT")
    long = gap(one, cause="outage", end=utc(2024, 1, 1, 2))
    short = gap(other, minute=60)
    page = text(operator.get(listing("gap")))
    assert cells(page, "length") == ["5 minutes", "120 minutes"]
    assert [cell[:9] for cell in cells(page, "why")] == ["no trades", "outage 20"]
    for query, wanted in (
        ({"cause__exact": "outage"}, [long]), ({"exchange": "binance"}, [short, long]),
        ({"exchange": "x"}, []),
        ({"q": "ETH"}, [short]), ({"instrument__id__exact": one.pk}, [long]), ({"o": "-3"}, [long, short]),
    ):  # fmt: skip
        assert listed(operator, "gap", **query) == [row.pk for row in wanted], query
    assert "Outage: other instruments" in text(operator.get(page_of(long)))


def test_a_gap_is_asked_for_again_and_filled(operator: Client, exchange: SimulatedExchange) -> None:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(20)[[0, 1, 19]])
    holes = [gap(market, minute=minute) for minute in (2, 10)]
    asked = act(operator, "gap", "ask_again", holes)
    assert "2024-01-01 00:10 to 2024-01-01 00:15 UTC" in text(asked)
    assert told(answer(operator, "gap", asked)) == ["2 gaps being asked for again by tasks."]
    run_pending()
    minutes = {(ts // 60_000) % 60 for ts in stored("candle_1m", market)}
    assert {0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 19} >= minutes > {0, 1, 19}
    assert not Gap.objects.filter(pk__in=[hole.pk for hole in holes], cause="no_trades").exists()


# All of them --------------------------------------------------------------------------------------


def test_who_may_only_look_can_do_nothing(operator: Client) -> None:
    market = instrument("BTC/USDT")
    hole, known = gap(market), Exchange.objects.create(name="binance")
    models = ("instrument", "exchange", "backfill", "gap", "quarantinedcandle")
    looker = staff("looker", *(f"view_{model}" for model in models))
    nobody = staff("nobody")
    for model in models:
        page = text(looker.get(listing(model)))
        assert 'name="action"' not in page, model
        assert nobody.get(listing(model)).status_code == 403
    for model, action, row in (
        ("instrument", "follow", market), ("instrument", "repair_gaps", market),
        ("instrument", "backfill", market), ("gap", "ask_again", hole), ("exchange", "read_markets", known),
    ):  # fmt: skip
        act(looker, model, action, [row], answered="yes", start="2024-01-01T00:00")
    assert looker.post(page_of(market), {"followed": "on"}).status_code == 403
    assert looker.post(reverse("admin:candles_exchange_read"), {"exchange": "binance"}).status_code == 403
    assert "Read the list" not in text(looker.get(page_of(known)))
    market.refresh_from_db()
    assert not market.followed
    assert TaskRun.objects.count() == Backfill.objects.count() == 0


def test_deeds_need_a_token_against_forged_requests(operator: Client) -> None:
    market = instrument("BTC/USDT")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert act(strict, "instrument", "follow", [market]).status_code == 403
    assert strict.post(reverse("admin:candles_exchange_read"), {"exchange": "binance"}).status_code == 403


def _instruments() -> None:
    write_candles(instrument=instrument(followed=True), minutes=walk(2))


def _backfills() -> None:
    backfill = services.backfill_request(
        instrument_id_text="binance:BTC/USDT", start=utc(2024, 1, 1), end=utc(2024, 1, 9), actor="user:7"
    )
    services.backfill_plan(backfill=backfill, instrument=instrument())


def _gaps() -> None:
    gap(instrument())


def _quarantined() -> None:
    QuarantinedCandle.objects.create(
        instrument=instrument(), ts=utc(2024, 1, 1), row=[1], reason="short_row", message="one column",
        origin="sync", digest="0" * 64,
    )  # fmt: skip


def _exchanges() -> None:
    Exchange.objects.create(name=f"e{Exchange.objects.count()}")


@pytest.mark.parametrize(
    ("model", "make"),
    [
        ("instrument", _instruments), ("backfill", _backfills), ("gap", _gaps),
        ("quarantinedcandle", _quarantined), ("exchange", _exchanges),
    ],
)  # fmt: skip
def test_a_list_asks_the_database_as_often_however_many_rows_there_are(
    operator: Client, model: str, make: Callable[[], None]
) -> None:
    make()
    operator.get(listing(model))
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert len(listed(operator, model)) == 1
    for _ in range(6):
        make()
    with CaptureQueriesContext(connection) as many:
        assert len(listed(operator, model)) == 7
    assert len(many) == len(few)


def test_the_migrations_say_all_that_the_models_do() -> None:
    call_command("makemigrations", "candles", check=True, dry_run=True, verbosity=0)


# The store ----------------------------------------------------------------------------------------


def test_the_page_of_the_store_says_what_is_in_force_and_what_is_stored(operator: Client) -> None:
    market = instrument("BTC/USDT", followed=True)
    write_candles(instrument=market, minutes=walk(1440, gaps=0.5))
    kept = len(stored("candle_1m", market))
    where = reverse("admin:candles_instrument_store")
    assert where in text(operator.get(listing("instrument")))
    page = text(operator.get(where))
    assert f"in force: {stores.in_force().name}" in page
    for shown in ("candle_1m", "candle_1w", market.text, f"{kept:,}", page_of(market)):
        assert shown in page
    assert "all roll-ups are refreshed" in page
    write_candles(instrument=market, minutes=walk(10, seed=5), refresh=False)
    assert "wait for a refresh" in text(operator.get(where))


def test_the_page_of_the_store_is_for_those_who_may_see_instruments() -> None:
    where = reverse("admin:candles_instrument_store")
    assert staff("stranger", "view_gap").get(where).status_code == 403
    assert staff("reader", "view_instrument").get(where).status_code == 200
