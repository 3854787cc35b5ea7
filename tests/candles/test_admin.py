"""Instruments and backfills in the admin, the commands, and the state of the migrations."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client

from apps.candles import services
from apps.candles.services import write_candles
from apps.candles.sources import DiskSource
from apps.candles.sources.timescale import TimescaleSource
from apps.tasks.models import TaskRun
from tests.candles.helpers import instrument, utc, walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_superuser("operator"))
    return client


def test_instruments_show_what_is_stored_and_only_active_can_be_changed(operator: Client) -> None:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(3))
    listed = operator.get("/admin/candles/instrument/")
    assert "binance:BTC/USDT" in listed.content.decode()
    address = f"/admin/candles/instrument/{market.pk}/change/"
    assert "2024-01-01 00:00 to 2024-01-01 00:02 UTC" in operator.get(address).content.decode()
    assert operator.post(address, {"price_scale": "0", "symbol": "X/Y"}).status_code == 302
    market.refresh_from_db()
    assert (market.active, market.price_scale, market.symbol) == (False, 2, "BTC/USDT")
    assert operator.get("/admin/candles/instrument/add/").status_code == 403
    assert operator.post(f"/admin/candles/instrument/{market.pk}/delete/", {"post": "yes"}).status_code == 403


def test_backfills_show_how_far_they_are_and_lead_to_their_tasks(operator: Client) -> None:
    backfill = services.backfill_request(
        instrument_id_text="binance:BTC/USDT", start=utc(2024, 1, 1), end=utc(2024, 1, 5), actor="user:7"
    )
    services.backfill_plan(backfill=backfill, instrument=instrument("BTC/USDT"))
    runs = [chunk.task_run for chunk in backfill.chunks.all()]
    TaskRun.objects.filter(pk=backfill.prepare_run).update(state="succeeded")
    TaskRun.objects.filter(pk=runs[0]).update(state="succeeded")
    TaskRun.objects.filter(pk=runs[1]).update(
        state="dead", error={"type": "RejectedCandles", "message": "close <b>is</b> NaN", "trace": ""}
    )
    assert "75%, 1 of 2 chunks" in operator.get("/admin/candles/backfill/").content.decode()
    page = operator.get(f"/admin/candles/backfill/{backfill.pk}/change/").content.decode()
    assert "failed" in page
    assert "close &lt;b&gt;is&lt;/b&gt; NaN" in page
    for run in (backfill.prepare_run, *runs):
        assert f"/admin/tasks/taskrun/{run}/change/" in page
    assert operator.get("/admin/candles/backfill/add/").status_code == 403


def test_the_export_command_writes_what_the_disk_source_reads(tmp_path: Path) -> None:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(3000))
    out = StringIO()
    call_command("candles_export", market.text, tmp_path, "--timeframe", "1h", "--timeframe", "4h",
                 "--start", "2024-01-02T00:00Z", stdout=out)  # fmt: skip
    span = ("1h", utc(2024, 1, 2), utc(2024, 1, 4))
    exported = DiskSource(tmp_path).load(market.text, *span)
    assert len(exported) == 26
    assert exported.fingerprint == TimescaleSource().load(market.text, *span).fingerprint
    assert out.getvalue().splitlines()[-1] == "2 files written"


@pytest.mark.parametrize(
    "arguments",
    [
        ["binance:NONE/USDT"],
        ["binance:BTC/USDT", "--timeframe", "2h"],
        ["binance:BTC/USDT", "--start", "2024-01-02"],
        ["binance:BTC/USDT", "--end", "soon"],
        ["binance:BTC/USDT", "--start", "2024-01-02T00:00Z", "--end", "2024-01-01T00:00Z"],
    ],
)
def test_an_export_that_makes_no_sense_writes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    write_candles(instrument=instrument("BTC/USDT"), minutes=walk(10))
    with pytest.raises(CommandError):
        call_command("candles_export", arguments[0], tmp_path, *arguments[1:])
    assert list(tmp_path.iterdir()) == []


def test_the_migrations_say_all_that_the_models_do() -> None:
    call_command("makemigrations", "candles", check=True, dry_run=True, verbosity=0)
