"""Compressed rows come in batches that fit into the pages they are kept in."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.candles.storage.stores import Base, Store
from tests.candles.stores import store

__all__ = ["store"]


@pytest.mark.django_db
def test_whoever_compresses_from_now_on_makes_batches_that_waste_no_space(store: Store) -> None:
    if store.base != Base.HYPERTABLE:
        pytest.skip("nothing is compressed without TimescaleDB")
    another = connection.copy()
    try:
        with another.cursor() as cursor:
            cursor.execute("SELECT current_setting('timescaledb.compression_batch_size_limit')")
            assert cursor.fetchone() == ("950",)
    finally:
        another.close()
