"""Archiving that is killed in the middle loses nothing and doubles nothing."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from apps.events import projections
from apps.events.archive.export import archive
from apps.events.archive.files import Archive
from apps.events.archive.restoring import restore
from apps.events.models import Event
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from tests.events.helpers import all_events, cancelled_runs, manage_process, other_connection
from tests.support import blocked, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def kill_at(statement: str, folder: Path) -> None:
    """Start archiving, and kill it where it waits for what *statement* has locked."""
    with other_connection() as holder:
        holder.execute(statement)
        process = manage_process("events", "archive", "--older-than", "0", "--to", str(folder))
        try:
            wait_until(
                lambda: blocked() or process.poll() is not None, seconds=120, what="the process to come there"
            )
            assert process.poll() is None, process.stdout.read()
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        # The server notices that the client is gone only when the statement is over.
        holder.rollback()
    wait_until(lambda: not others(), what="the server to end the session")


def others() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0]


def finish_and_compare(folder: Path, events: list, streams: int) -> None:
    """The next run archives the rest; every stream is in one file, and all come back."""
    left = Event.objects.count()
    done = archive(TaskRuns(), older_than=timedelta(), folder=folder)
    assert (done.events, done.kept) == (left, 0)
    assert all_events() == []
    assert TaskRun.objects.count() == 0
    files = sorted(folder.glob("*.jsonl.gz"))
    archived = [json.loads(line)["position"] for file in files for line in Archive(file).lines()]
    assert sorted(archived) == [event[0] for event in events]
    assert sum(Archive(file).manifest.streams for file in files) == streams
    assert not list(folder.glob(".*"))
    for file in files:
        restore(file)
    assert all_events() == events
    assert projections.check(TaskRuns()) == []


def test_killed_before_the_file_is_whole(tmp_path):
    names = cancelled_runs(20)
    events = all_events()
    kill_at("LOCK TABLE events_event IN ACCESS EXCLUSIVE MODE", tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert all_events() == events
    finish_and_compare(tmp_path, events, len(names))


def test_killed_when_nothing_of_the_file_is_deleted_yet(tmp_path):
    names = cancelled_runs(20)
    events = all_events()
    kill_at(f"SELECT FROM tasks_taskrun WHERE id = '{names[3].removeprefix('task:')}' FOR UPDATE", tmp_path)
    assert len(list(tmp_path.glob("*.jsonl.gz"))) == 1
    assert all_events() == events
    finish_and_compare(tmp_path, events, len(names))


def test_killed_when_part_of_the_file_is_deleted(tmp_path):
    names = cancelled_runs(1100)
    events = all_events()
    kill_at(f"SELECT FROM tasks_taskrun WHERE id = '{names[-1].removeprefix('task:')}' FOR UPDATE", tmp_path)
    left = set(Event.objects.values_list("stream", flat=True))
    assert left == set(names[1000:])
    (file,) = tmp_path.glob("*.jsonl.gz")
    assert Archive(file).manifest.dropped_at is None
    finish_and_compare(tmp_path, events, len(names))
    assert len(list(tmp_path.glob("*.jsonl.gz"))) == 1


def test_killed_before_it_was_noted_that_all_is_deleted(tmp_path):
    names = cancelled_runs(3)
    events = all_events()
    (file,) = archive(TaskRuns(), older_than=timedelta(), folder=tmp_path).files
    manifest = file.with_name(f"{file.name}.manifest.json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "dropped_at": None}))
    finish_and_compare(tmp_path, events, len(names))


def test_what_is_deleted_from_another_database_is_not_touched_here(tmp_path):
    """A folder that several share: only files of this database are finished."""
    cancelled_runs(3)
    events = all_events()
    (file,) = archive(TaskRuns(), older_than=timedelta(), folder=tmp_path).files
    restore(file)
    manifest = file.with_name(f"{file.name}.manifest.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "dropped_at": None, "origin": "elsewhere"}))
    assert archive(TaskRuns(), older_than=timedelta(days=1), folder=tmp_path).streams == 0
    assert all_events() == events
