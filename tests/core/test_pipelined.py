"""Statements that are sent together."""

from __future__ import annotations

import pytest
from django.db import DataError, IntegrityError, transaction

from apps.core.database import execute, pipelined

pytestmark = pytest.mark.django_db


def test_errors_of_statements_that_were_sent_together_are_djangos():
    with pytest.raises(DataError), transaction.atomic(), pipelined():
        execute("SELECT 1", {})
        execute("SELECT 1 / %(zero)s::integer", {"zero": 0})
        execute("SELECT 2", {})
    with pytest.raises(IntegrityError), transaction.atomic(), pipelined():
        execute("INSERT INTO auth_group (name) VALUES (%(name)s), (%(name)s)", {"name": "twice"})
        execute("SELECT 1", {}).fetchone()
    with transaction.atomic(), pipelined():
        first, second = (execute("SELECT %(n)s::integer", {"n": n}) for n in (1, 2))
        assert second.fetchone() == (2,)
        third = execute("SELECT 3", {})
    assert (first.fetchone(), third.fetchone()) == ((1,), (3,))
