"""Migrations of the large table may be run while it is in use, and again where they failed."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def made() -> dict[str, str]:
    """Indexes of the table, and by which statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tasks_taskrun'")
        return dict(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "index"),
    [("0012_asked_by", "tasks_taskrun_actor"), ("0013_dead_kind", "tasks_taskrun_dead_kind")],
)
def test_an_index_is_made_beside_writers_and_anew_where_it_was_left_half_made(name, index):
    before = made()
    migration = import_module(f"apps.tasks.migrations.{name}").Migration(name, "tasks")
    state = MigrationExecutor(connection).loader.project_state(migration.dependencies)
    # As one that failed leaves it: there by its name, and of no use.
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {index}")
        cursor.execute(f"CREATE INDEX {index} ON tasks_taskrun (id) WHERE false")
    with connection.schema_editor(atomic=migration.atomic) as editor:
        migration.apply(state, editor)
    assert made() == before
