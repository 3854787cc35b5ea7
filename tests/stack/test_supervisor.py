from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.stack.child import Service
from apps.stack.console import Console
from apps.stack.errors import StackError, StartFailed
from apps.stack.folders import CHECKOUT
from apps.stack.identity import Identity
from apps.stack.ledger import Ledger
from apps.stack.restarts import Restarts
from apps.stack.supervisor import Supervisor
from tests.stack.conftest import IDLE, until, wait_for

Program = Callable[..., Service]
Story = Callable[[Supervisor], Coroutine[Any, Any, None]]
# Notes that it was asked to stop in a file beside the others' notes.
NOTES_ITS_END = """
import pathlib, signal, sys, time
def end(*_):
    with open("ended", "a") as file:
        file.write("{name} ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    time.sleep(0.1)
"""


class Stage:
    """A supervisor's surroundings; `play` runs a story with a new supervisor in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = io.StringIO()
        self.restarts: Callable[[], Restarts] = lambda: Restarts(first=0.01, longest=0.02)

    def play(self, story: Story) -> None:
        async def perform(ledger: Ledger) -> None:
            supervisor = Supervisor(
                ledger=ledger,
                console=Console(self.output, show_logs=True),
                log_of=lambda name: self.folder / f"{name}.log",
                restarts=self.restarts,
            )
            try:
                await story(supervisor)
            finally:
                await supervisor.stop([])

        with Ledger(self.folder) as ledger:
            asyncio.run(perform(ledger))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    return Stage(tmp_path)


def test_a_service_is_up_when_its_probe_says_so(stage: Stage, program: Program) -> None:
    slow = "import time; time.sleep(0.3); print('up', flush=True); time.sleep(600)"

    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("slow", slow)])
        assert "up" in supervisor.children["slow"].said()
        assert supervisor.children["slow"].started

    stage.play(story)


def test_a_crashed_child_is_started_again(stage: Stage, program: Program) -> None:
    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("worker")])
        child = supervisor.children["worker"]
        first = child.pid
        child.signal(signal.SIGKILL)
        await until(lambda: child.started and child.pid != first)
        await until(lambda: "worker is ready again" in stage.output.getvalue())
        assert not supervisor.failure.done()

    stage.play(story)
    assert "worker ended with signal SIGKILL; it starts again in 0.01 s" in stage.output.getvalue()


def test_what_a_crashed_child_left_running_goes_before_its_successor_comes(
    stage: Stage, program: Program, tmp_path: Path
) -> None:
    parent = """
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("grandchild", "w").write(str(child.pid))
    print("up", flush=True)
    time.sleep(600)
    """

    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("parent", textwrap.dedent(parent))])
        grandchild = Identity.of(int((tmp_path / "grandchild").read_text()))
        assert grandchild is not None
        supervisor.children["parent"].signal(signal.SIGKILL)
        await until(lambda: not grandchild.alive())

    stage.play(story)


def test_a_child_that_keeps_crashing_is_given_up_with_its_last_words(stage: Stage, program: Program) -> None:
    dying = """
    import pathlib, sys, time
    if pathlib.Path("started").exists():
        sys.exit("no more paper")
    pathlib.Path("started").touch()
    print("up", flush=True)
    time.sleep(600)
    """
    stage.restarts = lambda: Restarts(limit=3, first=0.01)

    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("printer", textwrap.dedent(dying))])
        supervisor.children["printer"].signal(signal.SIGKILL)
        error = await asyncio.wait_for(supervisor.failure, 30)
        assert "printer ended with status 1: the last of 3 crashes within 60 s, given up" in str(error)
        assert "no more paper" in str(error)

    stage.play(story)
    assert stage.output.getvalue().count("it starts again") == 2


def test_a_child_that_may_not_be_restarted_fails_at_once(stage: Stage, program: Program) -> None:
    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("once", restart=False)])
        supervisor.children["once"].signal(signal.SIGKILL)
        error = await asyncio.wait_for(supervisor.failure, 30)
        assert str(error).startswith("once ended with signal SIGKILL")

    stage.play(story)


def test_a_child_that_ends_before_it_is_ready_says_why(stage: Stage, program: Program) -> None:
    async def story(supervisor: Supervisor) -> None:
        with pytest.raises(StartFailed, match=r"(?s)broken ended with status 2.*cannot open the drawer"):
            await supervisor.start(
                [program("broken", "print('cannot open the drawer'); raise SystemExit(2)")]
            )

    stage.play(story)


def test_a_child_that_stays_silent_is_not_waited_for_for_ever(stage: Stage, program: Program) -> None:
    async def story(supervisor: Supervisor) -> None:
        silent = program("silent", "import time; time.sleep(600)", ready_timeout=0.3)
        with pytest.raises(StartFailed, match="silent was not ready after"):
            await supervisor.start([silent])

    stage.play(story)


def test_a_program_that_does_not_exist_is_named(stage: Stage, program: Program) -> None:
    service = program("ghost")
    absent = Service(**{**service.__dict__, "argv": ("/nonexistent/ghost",)})

    async def story(supervisor: Supervisor) -> None:
        with pytest.raises(StartFailed, match=r"ghost cannot be started: .*/nonexistent/ghost"):
            await supervisor.start([absent])

    stage.play(story)


def test_a_failed_preparation_is_the_reason(stage: Stage, program: Program) -> None:
    def prepare() -> None:
        raise StackError("the folder is full")

    async def story(supervisor: Supervisor) -> None:
        with pytest.raises(StackError, match="the folder is full"):
            await supervisor.start([program("server", prepare=prepare), program("other")])

    stage.play(story)


def test_services_stop_in_the_given_order_and_the_unnamed_last(
    stage: Stage, program: Program, tmp_path: Path
) -> None:
    names = ["database", "extra", "web", "beat"]

    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program(name, NOTES_ITS_END.format(name=name)) for name in names])
        await supervisor.stop([["beat"], ["web", "absent"], ["database"]])

    stage.play(story)
    assert (tmp_path / "ended").read_text().split()[:4] == ["beat", "web", "database", "extra"]


def test_a_child_that_ignores_its_signal_is_killed_and_named(stage: Stage, program: Program) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + IDLE

    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("deaf", deaf, stop_timeout=0.2)])
        child = supervisor.children["deaf"]
        await supervisor.stop([["deaf"]])
        assert child.returncode == -signal.SIGKILL

    stage.play(story)
    assert "deaf did not stop within" in stage.output.getvalue()


def test_a_one_off_step_that_fails_shows_the_end_of_its_log(stage: Stage, program: Program) -> None:
    async def story(supervisor: Supervisor) -> None:
        await supervisor.run(program("fine", "print('done')"))
        with pytest.raises(StartFailed, match=r"(?s)migrate ended with status 1.*no such table"):
            await supervisor.run(program("migrate", "import sys; sys.exit('no such table')"))

    stage.play(story)


def test_the_lines_of_a_process_appear_with_its_name(stage: Stage, program: Program) -> None:
    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("web", "print('GET /'); " + IDLE)])
        await until(lambda: "GET /" in stage.output.getvalue())

    stage.play(story)
    assert "web      | GET /\n" in stage.output.getvalue()


def test_a_log_is_put_aside_when_its_process_starts_anew(
    stage: Stage, program: Program, tmp_path: Path
) -> None:
    (tmp_path / "web.log").write_text("of last time\n")

    async def story(supervisor: Supervisor) -> None:
        await supervisor.start([program("web")])

    stage.play(story)
    assert (tmp_path / "web.log").read_text() == "up\n"
    assert (tmp_path / "web.log.1").read_text() == "of last time\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = f"""
    import asyncio, io, os, sys, pathlib
    from apps.stack.child import Child, Service
    from apps.stack.probes import says
    folder = pathlib.Path({str(tmp_path)!r})
    service = Service(name="idle", argv=(sys.executable, "-c", {IDLE!r}), environ=dict(os.environ),
                      folder=folder, ready=says("up"))
    child = Child(service, folder / "idle.log")
    child.spawn()
    asyncio.run(child.wait_ready())
    print(child.pid, flush=True)
    input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    ) as supervisor:
        assert supervisor.stdout is not None
        child = Identity.of(int(supervisor.stdout.readline()))
        assert child is not None
        supervisor.kill()
        wait_for(lambda: not child.alive())
