"""Finished streams leave the database whole and come back as they were."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from apps.events import projections
from apps.events.archive import export
from apps.events.archive.export import archive
from apps.events.archive.files import Archive, ArchiveError
from apps.events.archive.restoring import restore
from apps.events.followers import catch_up, follow
from apps.events.maintenance import Busy, alone
from apps.events.models import Cursor, Event
from apps.events.records import NewEvent
from apps.events.selectors import read_stream
from apps.events.services import append
from apps.tasks import services
from apps.tasks.batches import batch_request
from apps.tasks.batchprojection import Batches
from apps.tasks.models import Batch, TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.testing import run_pending
from tests.events.helpers import all_events, at_once, cancelled_runs, manage, tamper
from tests.support import settle
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

NOW = timedelta()


@pytest.fixture
def ended() -> list[str]:
    """The streams of a succeeded, a dead and a cancelled run, beside one that waits."""
    results = [work.note.delay('a "quoted" \\ and\ttabbed 🐎'), work.refused.delay()]
    run_pending()
    TaskRun.objects.update(dead_letter_due=False, alert_due=False)
    work.later.delay(600)
    return sorted([f"task:{result.id}" for result in results] + cancelled_runs(1))


def rows() -> dict:
    """The state of every run, as far as it follows from events."""
    return {
        run.pk: {column: getattr(run, column) for column in TaskRuns.columns} for run in TaskRun.objects.all()
    }


def streams() -> set[str]:
    return set(Event.objects.values_list("stream", flat=True))


def take(folder: Path, **options) -> Path:
    """Archive everything that is finished, into one file."""
    (file,) = archive(TaskRuns(), older_than=NOW, folder=folder, **options).files
    return file


def test_finished_streams_leave_and_come_back_exactly(tmp_path, ended):
    events, states = all_events(), rows()
    message, _ = manage("events", "archive", "--older-than", "0", "--to", str(tmp_path / "new"))
    assert f"task_runs: 3 streams with {len(events) - 1} events archived\n" in message
    assert streams().isdisjoint(ended)
    assert TaskRun.objects.count() == 1
    (file,) = (tmp_path / "new").glob("*.jsonl.gz")
    assert manage("events", "restore", str(file)) == (
        f"{file}: 3 streams, {len(events) - 1} events restored, 0 were there, 3 state rows made\n", "",
    )  # fmt: skip
    assert all_events() == events
    assert rows() == states
    assert projections.check(TaskRuns()) == []
    assert manage("events", "verify")[0] == f"{len(events)} events, nothing wrong\n"


def test_the_manifest_says_what_the_file_holds(tmp_path, ended):
    events = [event for event in all_events() if event[1] in ended]
    file = take(tmp_path)
    held = Archive(file).manifest
    assert held.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (held.projection, held.streams, held.events) == ("task_runs", 3, len(events))
    assert (held.first_position, held.last_position) == (events[0][0], events[-1][0])
    assert (held.first_stream, held.last_stream) == (ended[0], ended[-1])
    assert held.first_recorded_at == min(event[7] for event in events).isoformat()
    assert held.dropped_at is not None
    with gzip.open(file, "rt") as lines:
        assert [json.loads(line)["stream"] for line in lines] == sorted(event[1] for event in events)
    assert {path.name for path in tmp_path.iterdir()} == {file.name, f"{file.name}.manifest.json"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_numbers_keep_every_digit(tmp_path, gadgets):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (stream, version, type, schema_version, data, meta) VALUES"
            " ('gadget:1', 1, 'gadget.made', 2, '{\"size\": 1, \"exact\": 1.10000000000000000000001}', '{}'),"
            " ('gadget:1', 2, 'gadget.scrapped', 1, '{\"digits\": 123456789012345678901234567890}', '{}')"
        )
    projections.rebuild(gadgets)
    before = all_events()
    (file,) = archive(gadgets, older_than=NOW, folder=tmp_path).files
    assert all_events() == []
    restore(file)
    assert all_events() == before
    assert projections.check(gadgets) == []


def test_restoring_again_changes_nothing(tmp_path, ended):
    file = take(tmp_path)
    restore(file)
    events, states = all_events(), rows()
    again = restore(file.with_name(f"{file.name}.manifest.json"))
    assert (again.events, again.present, again.rows) == (0, Archive(file).manifest.events, 0)
    assert all_events() == events
    assert rows() == states


def test_two_who_restore_at_once_restore_once(tmp_path, ended):
    events = all_events()
    file = take(tmp_path)
    results = at_once(lambda: restore(file), lambda: restore(file))
    assert sorted(result.events for result in results) == [0, Archive(file).manifest.events]
    assert all_events() == events


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_damaged_file_is_refused(tmp_path, ended, at):
    file = take(tmp_path)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    for arguments in (["--check"], []):
        message, _ = manage("events", "restore", *arguments, str(file))
        assert message == f"{file} is damaged: it is not what its manifest says"
    assert streams().isdisjoint(ended)


def test_a_file_that_is_cut_or_has_no_manifest_is_refused(tmp_path, ended):
    file = take(tmp_path)
    assert manage("events", "restore", "--check", str(file))[0].startswith(f"{file}: undamaged, 3 streams")
    file.write_bytes(file.read_bytes()[:-1])
    assert "is damaged" in manage("events", "restore", str(file))[0]
    manifest = file.with_name(f"{file.name}.manifest.json")
    manifest.write_text("{}")
    assert "is no manifest" in manage("events", "restore", str(file))[0]
    manifest.write_text(manifest.read_text())
    manifest.unlink()
    assert "has no manifest" in manage("events", "restore", str(file))[0]


def test_a_file_whose_places_are_taken_is_refused_whole(tmp_path, ended):
    file = take(tmp_path)
    before = all_events()
    append(stream=ended[1], after=0, events=[NewEvent(type="task.cancel_requested")])
    with pytest.raises(ArchiveError, match=f"version 1 of {ended[1]}"):
        restore(file)
    assert len(all_events()) == len(before) + 1


def test_a_file_with_events_that_are_unknown_here_is_refused_whole(tmp_path, gadgets):
    append(stream="gadget:1", after=0, events=[NewEvent(type="gadget.made", data={"size": 1})])
    append(stream="gadget:1", after=1, events=[NewEvent(type="gadget.scrapped")])
    projections.rebuild(gadgets)
    (file,) = archive(gadgets, older_than=NOW, folder=tmp_path).files
    projections._projections.pop("gadgets")
    assert "is of gadgets, unknown here" in manage("events", "restore", str(file))[0]
    assert all_events() == []


def test_streams_that_are_not_finished_or_not_long_enough_stay(tmp_path, ended):
    events = all_events()
    message, _ = manage("events", "archive", "--older-than", "1", "--to", str(tmp_path))
    assert "task_runs: 0 streams with 0 events archived\n" in message
    assert (all_events(), list(tmp_path.iterdir())) == (events, [])


def test_a_run_that_has_still_to_be_told_of_stays(tmp_path, ended):
    TaskRun.objects.filter(state="dead").update(alert_due=True)
    TaskRun.objects.filter(state="cancelled").update(dead_letter_due=True)
    assert archive(TaskRuns(), older_than=NOW, folder=tmp_path).streams == 1
    assert set(TaskRun.objects.values_list("state", flat=True)) == {"cancelled", "dead", "scheduled"}


@pytest.mark.parametrize("when", ["ended", "succeeded"])
def test_runs_of_a_batch_leave_when_it_is_over(tmp_path, when):
    """One that waits for success may yet be redriven, and counts its runs until then."""
    batch = batch_request([work.note.s("a"), work.note.s("b"), work.refused.s()], when=when)
    run_pending(limit=1000)
    TaskRun.objects.update(dead_letter_due=False, alert_due=False)
    over = when == "ended"
    assert Batch.objects.get().state == ("completed" if over else "incomplete")
    assert archive(TaskRuns(), older_than=NOW, folder=tmp_path).streams == (3 if over else 0)
    done = archive(Batches(), older_than=NOW, folder=tmp_path)
    assert (done.streams, Batch.objects.count()) == ((1, 0) if over else (0, 1))
    if over:
        manage("events", "restore", *map(str, tmp_path.glob("*.jsonl.gz")))
        assert Batch.objects.get() == batch
        assert projections.check(Batches()) == projections.check(TaskRuns()) == []


def test_runs_of_a_batch_stay_while_one_of_them_goes_on(tmp_path):
    batch_request([work.note.s("a"), work.refused.s()])
    run_pending()
    services.redrive(run_id=TaskRun.objects.get(state="dead").pk)
    assert Batch.objects.get().state == "completed"
    assert archive(TaskRuns(), older_than=NOW, folder=tmp_path).streams == 0


def test_a_dry_run_counts_and_changes_nothing(tmp_path, ended):
    events = all_events()
    message, _ = manage("events", "archive", "--older-than", "0", "--dry-run", "--limit", "2")
    lines = message.splitlines()
    first = lines.index(f"task_runs: 3 streams with {len(events) - 1} events could be archived")
    dates, limit = lines[first + 1 : first + 3]
    assert dates.startswith("  finished from 20")
    assert limit == "  of which --limit lets 2 go"
    assert all_events() == events


def test_a_limit_takes_the_oldest_and_the_next_run_the_rest(tmp_path, ended):
    manage("events", "archive", "--older-than", "0", "--to", str(tmp_path), "--limit", "2")
    assert streams() & set(ended) == {ended[2]}
    manage("events", "archive", "--older-than", "0", "--to", str(tmp_path), "--limit", "2")
    assert streams().isdisjoint(ended)
    assert len(list(tmp_path.glob("*.jsonl.gz"))) == 2


def test_large_archives_are_several_files_and_each_is_dropped_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PER_FILE", 5)
    monkeypatch.setattr(export, "_BATCH", 2)
    names = cancelled_runs(12)
    events = all_events()
    done = archive(TaskRuns(), older_than=NOW, folder=tmp_path)
    assert [Archive(file).manifest.streams for file in done.files] == [5, 5, 2]
    assert (done.streams, done.events, all_events()) == (12, 24, [])
    manage("events", "restore", *map(str, reversed(done.files)))
    assert all_events() == events
    assert streams() == set(names)


def test_nothing_is_archived_unless_somebody_says_what_and_where(settings, tmp_path, ended):
    assert "--older-than" in manage("events", "archive", "--to", str(tmp_path))[0]
    assert "--to" in manage("events", "archive", "--older-than", "0")[0]
    settings.EVENTS_ARCHIVE_AFTER, settings.EVENTS_ARCHIVE_DIR = 1e-10, str(tmp_path)
    assert "3 streams" in manage("events", "archive", "--projection", "task_runs")[0]


@pytest.mark.parametrize("days", ["-1", "soon", "nan"])
def test_days_that_make_no_sense_are_refused(tmp_path, days):
    assert "argument --older-than" in manage("events", "archive", f"--older-than={days}")[0]


def test_one_archives_at_a_time(tmp_path, ended):
    def wait() -> object:
        return archive(TaskRuns(), older_than=NOW, folder=tmp_path)

    with alone():
        (result,) = at_once(wait)
    assert isinstance(result, Busy)
    assert wait().streams == 3


def test_what_a_follower_has_not_read_stays(tmp_path, ended):
    settle()
    catch_up("ahead", lambda batch: None)
    settle()
    follow("slow", lambda batch: None, limit=1)
    message, _ = manage("events", "archive", "--older-than", "0", "--dry-run")
    assert "3 more are old enough, but a follower has not read them" in message
    assert archive(TaskRuns(), older_than=NOW, folder=tmp_path).streams == 0
    settle()
    catch_up("slow", lambda batch: None)
    assert archive(TaskRuns(), older_than=NOW, folder=tmp_path).streams == 3


def test_followers_see_restored_events_once_if_at_all(tmp_path, ended):
    seen: dict[str, list[int]] = {"old": [], "new": []}

    def read(name: str) -> None:
        settle()
        catch_up(name, lambda batch: seen[name].extend(event.position for event in batch), limit=3)

    read("old")
    everything = sorted(seen["old"])
    file = take(tmp_path)
    restore(file)
    read("old")
    read("new")
    assert sorted(seen["old"]) == everything
    assert sorted(seen["new"]) == everything
    append(stream="task:x", after=0, events=[NewEvent(type="task.cancel_requested")])
    read("old")
    read("new")
    assert len(seen["old"]) == len(seen["new"]) == len(everything) + 1
    assert seen["old"][-1] == seen["new"][-1]


def test_a_follower_that_begins_during_a_restore_sees_all_of_the_file_or_nothing(tmp_path):
    """Which of the two depends on who was first; never a part, and nothing twice."""
    for index in range(6):
        folder = tmp_path / str(index)
        folder.mkdir()
        cancelled_runs(20)
        gone = {event[0] for event in all_events()} - set(live())
        file = take(folder)
        append(stream=f"gadget:{index}", after=0, events=[NewEvent(type="gadget.scrapped")])
        name, seen = f"begins{index}", []

        def read(name=name, seen=seen) -> None:
            for _ in range(30):
                settle()
                follow(name, lambda batch: seen.extend(event.position for event in batch), limit=7)

        restored, nothing = at_once(lambda file=file: restore(file), read)
        assert (restored.events, nothing) == (len(gone), None)
        settle()
        catch_up(name, lambda batch, seen=seen: seen.extend(event.position for event in batch))
        assert len(seen) == len(set(seen))
        assert set(seen) & gone in (set(), gone)
        assert set(live()) <= set(seen)
        Cursor.objects.all().delete()
        take(folder)


def live() -> list[int]:
    """The positions of events that are never archived."""
    return list(Event.objects.filter(stream__startswith="gadget:").values_list("position", flat=True))


def test_nothing_is_restored_behind_a_follower_that_reads_what_was_restored_before(tmp_path):
    cancelled_runs(2)
    files = [take(tmp_path, limit=1), take(tmp_path)]
    first, second = sorted(files, key=lambda file: Archive(file).manifest.first_position)
    restore(second)
    settle()
    follow("reader", lambda batch: None, limit=1)
    with pytest.raises(ArchiveError, match="the follower reader is reading"):
        restore(first)
    settle()
    catch_up("reader", lambda batch: None)
    cancelled_runs(1)
    settle()
    catch_up("reader", lambda batch: None)
    assert restore(first).events == 2
    assert Cursor.objects.get().xid > 0


def test_a_restored_stream_can_go_on_and_be_archived_again(tmp_path, ended):
    dead = next(run for run in TaskRun.objects.filter(state="dead"))
    once = take(tmp_path)
    restore(once)
    services.redrive(run_id=dead.pk)
    run_pending()
    TaskRun.objects.update(dead_letter_due=False, alert_due=False)
    assert len(read_stream(dead.stream)) == 8
    events = all_events()
    files = [once, take(tmp_path)]
    for order in (files, files[::-1]):
        for file in order:
            restore(file)
            assert projections.check(TaskRuns()) == []
        assert all_events() == events
        take(tmp_path)


def test_archiving_and_redriving_at_once_lose_no_run(tmp_path):
    """Whoever comes first has the run: it is archived and gone, or redriven and stays."""
    for index in range(5):
        folder = tmp_path / str(index)
        folder.mkdir()
        names = cancelled_runs(30)

        def redrive(names=names) -> list[str]:
            won = []
            for name in names:
                try:
                    services.redrive(run_id=name.removeprefix("task:"))
                    won.append(name)
                except TaskRun.DoesNotExist:
                    pass
            return won

        done, won = at_once(lambda folder=folder: archive(TaskRuns(), older_than=NOW, folder=folder), redrive)
        assert streams() & set(names) == set(won)
        assert done.streams == len(names) - len(won)
        for name in won:
            assert [event.type for event in read_stream(name)] == [
                "task.requested", "task.cancelled", "task.redriven",
            ]  # fmt: skip
        assert projections.check(TaskRuns()) == []
        for run in TaskRun.objects.filter(state="scheduled"):
            services.cancel(run_id=run.pk)
        archive(TaskRuns(), older_than=NOW, folder=folder)
        assert all_events() == []


def test_the_guard_is_off_only_for_the_archive(tmp_path, ended):
    take(tmp_path)
    with (
        pytest.raises(Exception, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM events_event")


def test_a_stream_that_is_not_what_the_file_has_of_it_stays(tmp_path, ended, monkeypatch):
    """An event that came between writing and deleting, past the lock of the row."""
    taken = export._drop

    def interfere(*arguments) -> None:
        tamper(
            "INSERT INTO events_event (stream, version, type, schema_version, data, meta)"
            " VALUES (%s, 99, 'task.published', 1, '{}', '{}')",
            [ended[0]],
        )
        taken(*arguments)

    monkeypatch.setattr(export, "_drop", interfere)
    message, _ = manage("events", "archive", "--older-than", "0", "--to", str(tmp_path))
    assert "1 went on while they were written, and stay" in message
    assert streams() & set(ended) == {ended[0]}
