"""Every way to store candles, for tests that must hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.candles.storage import moving, stores
from apps.candles.storage.installing import create_extension
from apps.candles.storage.stores import AGGREGATES, INCREMENTAL, PORTABLE, Base, Store
from tests.candles.conftest import shared_candles

__all__ = ["shared_candles", "store"]


@pytest.fixture(
    scope="module", params=[PORTABLE, INCREMENTAL, AGGREGATES], ids=["portable", "incremental", "aggregates"]
)
def store(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> Iterator[Store]:
    """The store in force for the tests of a module, one after the other."""
    target: Store = request.param
    with django_db_blocker.unblock():
        if target.base == Base.HYPERTABLE and (obstacle := create_extension()):
            pytest.skip(f"no TimescaleDB: {obstacle}")
        before = stores.in_force()
        _become(target)
    yield target
    with django_db_blocker.unblock():
        _become(before)


def _become(target: Store) -> None:
    if stores.in_force() != target:
        moving.convert(target)
