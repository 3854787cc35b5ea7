from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.events import projections
from tests.events.helpers import Gadgets


@pytest.fixture
def gadgets(committed: None, monkeypatch: Any) -> Iterator[Gadgets]:
    """A projection with its table, for the time of a test."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE gadgets (serial bigint PRIMARY KEY, size integer NOT NULL, scrapped_at timestamptz,"
            " note text NOT NULL)"
        )
    target = Gadgets()
    monkeypatch.setitem(projections._projections, target.name, target)
    yield target
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE gadgets")
