"""Our own statements on Django's connection."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core import database
from apps.core.database import execute, perform, pipelined
from tests.workload.models import Effect

pytestmark = pytest.mark.django_db

INSERT = "INSERT INTO workload_effect (name, attempt) VALUES (%(name)s, 1) RETURNING name"


def prepared() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%workload_effect%'")
        return int(cursor.fetchone()[0])


def test_a_statement_is_part_of_djangos_transaction_and_prepared_once():
    before = prepared()
    with pytest.raises(RuntimeError), transaction.atomic():
        for name in "abc":
            assert execute(INSERT, {"name": name}).fetchone() == (name,)
        assert prepared() == max(before, 1)
        raise RuntimeError
    assert not Effect.objects.exists()


def test_errors_are_djangos_and_spoil_the_transaction_until_its_end():
    with transaction.atomic():
        with pytest.raises(IntegrityError), transaction.atomic():
            execute(INSERT, {"name": None})
        execute(INSERT, {"name": "after"})
    assert Effect.objects.get().name == "after"


def test_a_broken_transaction_takes_no_statement():
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic():
        try:
            with transaction.atomic(savepoint=False):
                execute(INSERT, {"name": None})
        except IntegrityError:
            execute(INSERT, {"name": "a"})


def test_what_nobody_wants_rows_of_is_of_the_same_transaction_and_leaves_rows_of_others_alone():
    with pytest.raises(RuntimeError), transaction.atomic():
        perform(INSERT, {"name": "undone"})
        raise RuntimeError
    with transaction.atomic():
        rows = execute(INSERT, {"name": "first"})
        with pytest.raises(IntegrityError), transaction.atomic():
            perform(INSERT, {"name": None})
        perform(INSERT, {"name": "second"})
        assert rows.fetchone() == ("first",)
    assert set(Effect.objects.values_list("name", flat=True)) == {"first", "second"}


@pytest.mark.django_db(transaction=True)
def test_each_connection_keeps_a_cursor_of_its_own():
    perform(INSERT, {"name": "on one"})
    connection.close()
    perform(INSERT, {"name": "on the next"})
    assert Effect.objects.count() == 2


def test_statements_without_rows_can_be_sent_together():
    with transaction.atomic(), pipelined():
        perform(INSERT, {"name": "a"})
        rows = execute(INSERT, {"name": "b"})
        perform(INSERT, {"name": "c"})
        assert rows.fetchone() == ("b",)
    with pytest.raises(IntegrityError), transaction.atomic(), pipelined():
        perform(INSERT, {"name": None})
    assert Effect.objects.count() == 3


def test_plans_are_made_anew_now_and_then(monkeypatch):
    execute(INSERT, {"name": "a"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        count = cursor.fetchone()[0]
    monkeypatch.setattr(database, "_REPLAN_EVERY", -1.0)
    assert execute(INSERT, {"name": "b"}).fetchone() == ("b",)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone()[0] == count
    assert Effect.objects.count() == 2
