"""Figures of a pool's processes are those of one, whoever is asked, and outlive the processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from prometheus_client import Counter

from apps.core import instruments, shards
from apps.core.instruments import Instrument

#: A main process, and what its pool's processes do: they count, and one dies in the middle of something.
POOL = """
import os
from prometheus_client import Counter, Gauge, Histogram
import django
django.setup()
from apps.core import process, shards
from apps.core.instruments import Instrument, Own

DONE = Instrument(Counter, "done", "Done", "what")
TAKEN = Instrument(Histogram, "taken", "Taken")
BUSY = Instrument(Gauge, "busy", "Busy", multiprocess_mode="livesum")

process.begin("web", pool=True)

def child(slot, busy):
    pid = os.fork()
    if pid == 0:
        shards.take(slot)
        DONE.of("a").inc()
        TAKEN.metric.observe(0.5)
        BUSY.metric.inc(busy)
        os._exit(0)
    os.waitpid(pid, 0)

def told():
    samples = {s.name: s.value for f in Own().collect() for s in f.samples if s.name != "taken_bucket"}
    return [int(samples[name]) for name in ("done_total", "taken_count", "busy")]

child(1, 1); child(2, 1)
print(*told(), len(os.listdir(shards.folder())))
shards.free(1)
print(*told())
child(1, 0); child(1, 0)
print(*told(), len(os.listdir(shards.folder())))
print(shards.folder())
if os.environ.get("KILLED"):
    os.kill(os.getpid(), 9)
"""


#: What a process of a pool counts whose main process has counted the same before.
COUNTS = """
import os, resource, shutil
import django
django.setup()
from prometheus_client import Counter
from apps.core import process, shards
from apps.core.instruments import Instrument, Own

DONE = Instrument(Counter, "done", "Done", "what")
process.begin("web", pool=True)
DONE.of("a").inc()
{happens}
if os.fork() == 0:
    shards.take(1)
    for what in "ab" * 1000:
        DONE.of(what + "x" * 100).inc()
    DONE.of("a").inc()
    os._exit(0)
assert os.wait()[1] == 0
print(*[s.value for f in Own().collect() for s in f.samples if s.labels == {{"what": "a"}}])
"""


def run(code: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings.test",
            "PROMETHEUS_MULTIPROC_DIR": str(folder),
            **environ,
        },
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def pool(folder: Path, **environ: str) -> list[str]:
    ran = run(POOL, folder, **environ)
    assert ran.returncode == (-9 if environ else 0), ran.stderr
    return ran.stdout.splitlines()


def test_processes_add_up_successors_go_on_and_the_folder_goes_with_the_main_process(tmp_path):
    both, one_freed, succeeded, folder = pool(tmp_path, KILLED="1")
    # Two have counted, and both are at something.
    assert both.split() == ["2", "2", "2", both.split()[3]]
    assert one_freed.split() == ["2", "2", "1"]
    # Two more, one after the other in the first one's place: they go on counting, in no more files.
    assert succeeded.split() == ["4", "4", "1", both.split()[3]]
    assert list(tmp_path.iterdir()) == [Path(folder)]
    # A killed process leaves its folder, and the next one removes it.
    *_, another = pool(tmp_path)
    assert another != folder
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        ("shutil.rmtree(shards.folder())", 0),
        ("resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))", 1),
    ],
    ids=["the folder was cleared away", "there is no room"],
)
def test_whoever_counts_goes_on_where_figures_cannot_be_kept(tmp_path, happens: str, said: int):
    ran = run(COUNTS.format(happens=happens), tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "1.0\n"), ran.stderr
    assert ran.stderr.count("figures of this process are missing") == said


def test_threads_that_want_a_metric_at_once_get_the_same():
    made = []

    class Slow(Counter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            made.append(self)
            threading.Event().wait(0.02)
            super().__init__(*args, **kwargs)

    wanted = Instrument(Slow, "slow", "Slow")
    try:
        with ThreadPoolExecutor(4) as threads:
            found = [one.result() for one in [threads.submit(lambda: wanted.metric) for _ in range(4)]]
    finally:
        del instruments._declared["slow"]
        instruments._memory.unregister(made[0])
    assert len(made) == 1
    assert set(map(id, found)) == {id(made[0])}


def test_a_new_process_takes_the_lowest_slot_that_is_free():
    assert [shards.lowest_free(taken) for taken in ((), {1}, {2, 3}, {1, 2, 4})] == [1, 2, 1, 3]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's folder")
def test_somebody_elses_folder_is_not_used(tmp_path, monkeypatch, settings, caplog):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings.PROMETHEUS_MULTIPROC_DIR = ""
    planted = tmp_path / f"chandlery-metrics-{os.geteuid()}"
    planted.mkdir()
    os.chown(planted, 12345, 12345)
    shards.begin("web")
    assert shards.folder() is None
    assert "is somebody else's" in caplog.text
