"""What keeps a store in shape: partitions or TimescaleDB's policies, and what the status says of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.candles.models import Instrument
from apps.candles.selectors import coverage
from apps.candles.services import BeyondRetention, refresh_rollups, write_candles
from apps.candles.sources.cached import CachedSource
from apps.candles.sources.timescale import TimescaleSource
from apps.candles.storage import aggregates, moving, policies, stores
from apps.candles.storage.chunks import compress_old
from apps.candles.storage.status import status
from apps.candles.storage.stores import AGGREGATES, PORTABLE, Base, Rollups, Store
from apps.candles.timeframes import to_datetime
from tests.candles.helpers import MINUTE, TABLES, assert_levels_match, instrument, stored, walk
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def market(store: Store, shared_candles: None) -> Instrument:
    return instrument(followed=True)


def days_ago(days: float) -> int:
    """A minute so long ago (ms)."""
    return int((timezone.now() - timedelta(days=days)).timestamp()) // 60 * MINUTE


def partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'candle_1m'::regclass ORDER BY relname"
        )
        return [name for (name,) in cursor.fetchall()]


def only(store: Store, *, base: Base) -> None:
    if store.base != base:
        pytest.skip(f"of stores with {base.value} only")


def only_aggregates(store: Store) -> None:
    if store != AGGREGATES:
        pytest.skip("of continuous aggregates only")


def test_applying_twice_changes_nothing_the_second_time(market: Instrument, settings: Any) -> None:
    policies.apply()  # there may be nothing to do: partitions outlive the tests that made them
    assert policies.apply() == []
    settings.CANDLES_COMPRESS_AFTER_DAYS = 3
    settings.CANDLES_RETENTION_DAYS = 700
    changes = policies.apply()
    assert policies.apply() == []
    settings.CANDLES_RETENTION_DAYS = None
    assert len(policies.apply()) <= len(changes)
    assert policies.apply() == []


def test_partitions_are_there_before_they_are_needed(store: Store, market: Instrument) -> None:
    only(store, base=Base.PARTITIONS)
    policies.apply()
    month = timezone.now().replace(day=1)
    for _ in range(policies.AHEAD + 1):
        assert f"candle_1m_{month:%Y_%m}" in partitions()
        month = (month + timedelta(days=32)).replace(day=1)


def test_what_is_older_than_the_retention_goes_and_its_roll_ups_stay(
    store: Store, market: Instrument, settings: Any
) -> None:
    write_candles(instrument=market, minutes=walk(80 * 1440, start=days_ago(90)))
    refresh_rollups()
    days = stored("candle_1d", market)
    settings.CANDLES_RETENTION_DAYS = 50
    policies.apply()
    run_jobs("policy_retention")
    left = stored("candle_1m", market)
    assert 0 < len(left) < 75 * 1440
    assert min(left) <= days_ago(50) + 60 * MINUTE
    for _ in range(2):
        run_jobs("policy_refresh_continuous_aggregate")
        refresh_rollups()
        assert stored("candle_1d", market) == days
        with pytest.raises(BeyondRetention, match="are not kept"):
            write_candles(instrument=market, minutes=walk(10, start=days_ago(60)))
        write_candles(instrument=market, minutes=walk(10, start=days_ago(45), seed=3))
        refresh_rollups()
        days = {**days, **{ts: row for ts, row in stored("candle_1d", market).items() if ts >= days_ago(47)}}


def test_copies_of_what_was_dropped_are_not_read_any_more(
    store: Store, market: Instrument, settings: Any, tmp_path: Path
) -> None:
    only(store, base=Base.HYPERTABLE)
    settings.CANDLES_CHUNK_INTERVAL_DAYS = 1
    policies.apply()
    write_candles(instrument=market, minutes=walk(80 * 1440, start=days_ago(90)))
    cache = CachedSource(TimescaleSource(), tmp_path, limit=10**9)
    refresh_rollups()
    ever = timezone.now() - timedelta(days=100), timezone.now()
    span = market.text, "1m", *ever
    assert len(cache.load(*span)) == 80 * 1440
    hours = cache.load(market.text, "1h", *ever)
    assert len(hours) >= 80 * 24
    settings.CANDLES_RETENTION_DAYS = 50
    policies.apply()
    run_jobs("policy_retention")
    policies.apply()
    left = stored("candle_1m", market)
    # Its policy may have put the chunks of a week together before.
    assert 40 * 1440 - 1500 <= len(left) <= 48 * 1440
    assert cache.load(*span).ts.tolist() == list(left)
    assert cache.load(market.text, "1h", *ever).fingerprint == hours.fingerprint
    assert coverage([market.pk])[market.pk].first == to_datetime(min(left))


@pytest.mark.parametrize("days", [1, 10, 21, 22, 50])
def test_however_little_is_kept_there_are_policies_and_roll_ups_are_right(
    store: Store, market: Instrument, settings: Any, days: int
) -> None:
    settings.CANDLES_RETENTION_DAYS = days
    policies.apply()
    assert policies.apply() == []
    write_candles(instrument=market, minutes=walk(600, start=days_ago(0.6)))
    refresh_rollups()
    write_candles(instrument=market, minutes=walk(60, start=days_ago(0.5), seed=1))
    refresh_rollups()
    run_jobs("policy_refresh_continuous_aggregate")
    assert_levels_match(market)


def test_refreshes_of_the_same_do_not_fail_each_other(store: Store, market: Instrument) -> None:
    """The product's and those of TimescaleDB's policies, which run when they like."""
    only_aggregates(store)
    minutes = walk(30 * 1440, start=days_ago(40))
    write_candles(instrument=market, minutes=minutes)

    def refresh(_: int) -> None:
        try:
            aggregates.refresh_ranges([(int(minutes.ts[0]), int(minutes.ts[-1]))])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(refresh, range(4)))
    refresh_rollups()
    assert_levels_match(market)


def run_jobs(procedure: str) -> None:
    """Have TimescaleDB's policies of one kind run now."""
    if stores.in_force().base != Base.HYPERTABLE:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s ORDER BY job_id",
            [procedure],
        )
        for (job,) in cursor.fetchall():
            cursor.execute(f"CALL run_job({job})")


def test_timescaledb_has_every_policy_that_the_settings_ask_for(store: Store, market: Instrument) -> None:
    only(store, base=Base.HYPERTABLE)
    policies.apply()
    found = {(report.job.procedure, report.job.relation) for report in policies.reports()}
    assert {relation for procedure, relation in found if procedure == "policy_compression"} == set(TABLES)
    refreshed = {relation for procedure, relation in found if procedure.startswith("policy_refresh")}
    assert refreshed == (set(TABLES[1:]) if store.rollups == Rollups.AGGREGATES else set())
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT owner::text FROM timescaledb_information.jobs WHERE job_id >= 1000")
        assert len(cursor.fetchall()) == 1


def test_policies_catch_late_changes_that_were_not_logged(store: Store, market: Instrument) -> None:
    """A correction by somebody who has switched our triggers off."""
    only_aggregates(store)
    policies.apply()
    write_candles(instrument=market, minutes=walk(10 * 1440, start=days_ago(12)))
    refresh_rollups()
    with connection.cursor() as cursor:
        cursor.execute("SET chandlery.quiet = 'on'")
        cursor.execute("UPDATE candle_1m SET volume = volume + 1 WHERE instrument_id = %s", [market.pk])
        cursor.execute("RESET chandlery.quiet")
    with pytest.raises(AssertionError):
        assert_levels_match(market)
    run_jobs("policy_refresh_continuous_aggregate")
    assert_levels_match(market)


def test_what_is_old_is_compressed_and_can_still_be_changed(
    store: Store, market: Instrument, settings: Any
) -> None:
    only(store, base=Base.HYPERTABLE)
    settings.CANDLES_CHUNK_INTERVAL_DAYS = 7
    policies.apply()
    write_candles(instrument=market, minutes=walk(90 * 1440, start=days_ago(110)))
    refresh_rollups()
    before = {table: stored(table, market) for table in TABLES}
    steps: list[str] = []
    assert compress_old(on_step=lambda step: steps.append(step.name)) > 10
    assert set(steps) == {"compressing"}
    assert {table: stored(table, market) for table in TABLES} == before
    assert compress_old(on_step=lambda step: None) == 0
    [minutes, *_] = status().relations
    assert minutes.compressed > 10
    assert minutes.ratio is not None
    assert minutes.ratio > 5
    write_candles(instrument=market, minutes=walk(3000, start=days_ago(80), seed=5))
    refresh_rollups()
    assert_levels_match(market)
    assert compress_old(on_step=lambda step: None) >= 1
    assert_levels_match(market)


@pytest.mark.parametrize(("followed", "days"), [(0, 30), (50, 30), (51, 7), (500, 7), (501, 1)])
def test_chunks_span_less_where_more_instruments_fill_them(followed: int, days: int) -> None:
    assert policies.chunk_days(followed) == days


def test_the_chunk_interval_can_be_set(store: Store, market: Instrument, settings: Any) -> None:
    only(store, base=Base.HYPERTABLE)
    settings.CANDLES_CHUNK_INTERVAL_DAYS = 1
    assert any("chunks of 1 days" in change for change in policies.apply())
    write_candles(instrument=market, minutes=walk(3 * 1440, start=days_ago(20) // 86_400_000 * 86_400_000))
    assert status().relations[0].parts == 3
    assert policies.apply() == []


def test_the_status_says_what_is_in_force_and_what_is_stored(store: Store, market: Instrument) -> None:
    minutes = walk(3 * 1440, start=days_ago(5), gaps=0.25)
    write_candles(instrument=market, minutes=minutes)
    refresh_rollups()
    out = StringIO()
    call_command("candles_status", stdout=out)
    text = out.getvalue()
    assert f"in force: {store.name}" in text
    assert market.text in text
    assert f"{len(minutes.ts):,}" in text
    out = StringIO()
    call_command("candles_status", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["in_force"] == store.name
    assert [one["name"] for one in found["relations"]] == list(TABLES)
    [covered] = found["coverage"]["instruments"]
    assert (covered["text"], covered["minutes"]) == (market.text, len(minutes.ts))
    assert covered["minutes"] + covered["missing"] == (int(minutes.ts[-1]) - int(minutes.ts[0])) // MINUTE + 1
    assert found["pending"] == 0
    write_candles(instrument=market, minutes=walk(10, start=days_ago(4)), refresh=False)
    assert status().pending >= 1


def test_the_upgrade_moves_to_the_best_store_and_says_what_it_does(
    store: Store, market: Instrument, settings: Any
) -> None:
    settings.CANDLES_ROLLUPS = "continuous_aggregates"
    write_candles(instrument=market, minutes=walk(40 * 1440, start=days_ago(60)))
    before = stored("candle_1m", market)
    capable = status().capabilities.usable
    if not capable:
        with pytest.raises(CommandError, match="TimescaleDB cannot be used here"):
            call_command("candles_upgrade")
        return
    try:
        out = StringIO()
        call_command("candles_upgrade", "--plan", stdout=out)
        assert stores.in_force() == store
        assert ("already in force" in out.getvalue()) == (store == AGGREGATES)
        call_command("candles_upgrade", stdout=StringIO())
        assert stores.in_force() == AGGREGATES
        assert stored("candle_1m", market) == before
        assert_levels_match(market)
        assert status().relations[0].compressed >= 1
        assert policies.apply() == []
        call_command("candles_upgrade", "--to", "portable", stdout=StringIO())
        assert stores.in_force() == PORTABLE
        assert stored("candle_1m", market) == before
        assert_levels_match(market)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE candle_1m")
        if stores.in_force() != store:
            moving.convert(store)
