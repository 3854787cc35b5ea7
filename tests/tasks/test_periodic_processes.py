"""Beat as a process: two at once, killed, edited under way."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from django.db.models import F

from apps.tasks.models import PeriodicTask, TaskRun
from apps.tasks.periodic import selectors, services
from apps.tasks.states import State
from tests.support import wait_until


def entry(name: str, **fields: Any) -> PeriodicTask:
    given = {"task": "workload.note", "args": [name], "interval": 1.0, "misfire": "all"} | fields
    row = PeriodicTask(name=name, **given)
    services.save(entry=row)
    return row


def runs(name: str) -> int:
    return TaskRun.objects.filter(meta__actor=f"beat:{name}").count()


def ticks(name: str) -> list[float]:
    found = TaskRun.objects.filter(meta__actor=f"beat:{name}").values_list("meta__scheduled_for", flat=True)
    return sorted(datetime.fromisoformat(tick).timestamp() for tick in found)


def assert_each_tick_once(row: PeriodicTask) -> None:
    """From the first to the last, none twice and none left out."""
    row.refresh_from_db()
    found = ticks(row.name)
    assert all(later - earlier == row.interval for earlier, later in pairwise(found))
    assert row.last_tick_at is not None
    assert found[-1] == row.last_tick_at.timestamp()
    assert found[0] - row.counts_from.timestamp() <= row.interval
    assert row.left_out == 0


def test_two_beats_make_one_run_of_every_tick_of_both_kinds_of_entries(platform):
    row = entry("pair")
    beats = platform.beat(), platform.beat()
    platform.ready(*beats)
    wait_until(lambda: runs("pair") and runs("reconcile-orphans") >= 3, what="ticks while both beats run")
    beats[0].kill()
    before = runs("pair")
    wait_until(lambda: runs("pair") >= before + 2, what="ticks of the beat that is left")
    beats[1].kill()
    assert_each_tick_once(row)
    fixed = selectors.entries().get(name="reconcile-orphans")
    assert fixed.origin == "settings"
    assert len(set(ticks(fixed.name))) == len(ticks(fixed.name)) >= 3
    assert fixed.last_run_state == State.SCHEDULED
    assert not any("Traceback" in beat.log for beat in beats)


def test_a_beat_that_is_killed_again_and_again_leaves_out_no_tick(platform):
    # On a busy machine a beat takes its time to start, and many ticks are missed.
    platform.environ["TASKS_MISFIRE_LIMIT"] = "1000"
    row = entry("killed", interval=0.5)
    for _ in range(3):
        before = runs("killed")
        beat = platform.beat()
        platform.ready(beat)
        wait_until(lambda before=before: runs("killed") >= before + 4, what="ticks")
        beat.kill()
    assert_each_tick_once(row)


def test_edits_take_effect_without_a_restart_and_a_broken_entry_stops_no_other(platform):
    beat = platform.beat()
    platform.ready(beat)
    sound = entry("sound")
    broken = entry("broken")
    PeriodicTask.objects.filter(pk=broken.pk).update(task="workload.gone", look_at=F("counts_from"))
    wait_until(lambda: runs("sound") >= 2, what="ticks of an entry made while beat runs")
    wait_until(lambda: PeriodicTask.objects.get(pk=broken.pk).last_error, what="the broken entry's error")
    assert "periodic entry broken cannot be served" in beat.log
    # A task that is mended is served, with the ticks that it missed.
    broken.refresh_from_db()
    broken.task = "workload.note"
    services.save(entry=broken)
    wait_until(lambda: runs("broken") >= 2, seconds=5, what="ticks of the entry that was mended")
    assert_each_tick_once(broken)
    # What is off does not tick.
    services.switch(entry=sound, enabled=False)
    off = runs("sound")
    before = runs("broken")
    wait_until(lambda: runs("broken") >= before + 3, what="ticks of the other entry")
    assert runs("sound") == off
    # Another schedule counts from the edit on.
    sound.refresh_from_db()
    sound.enabled, sound.interval, sound.crontab = True, None, "0 0 29 2 *"
    services.save(entry=sound)
    sound.refresh_from_db()
    assert sound.next_tick_at is not None
    assert (sound.next_tick_at.month, sound.next_tick_at.day) == (2, 29)
    assert runs("sound") == off


def test_a_workers_handler_is_reached_by_ticks(platform):
    """From the entry to the effect, over the queue."""
    entry("whole")
    platform.relay()
    platform.worker()
    platform.beat()
    done = TaskRun.objects.filter(meta__actor="beat:whole", state=State.SUCCEEDED)
    wait_until(lambda: done.count() >= 2, seconds=60, what="runs of ticks to succeed")
    shown = selectors.entries().get(name="whole")
    assert shown.last_run_state is not None
    assert shown.last_tick_at <= datetime.now(UTC)
