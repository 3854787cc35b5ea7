from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from apps.stack.identity import Identity, children, command_line, started_at
from tests.stack.conftest import wait_for


def test_a_process_is_recognised_by_number_and_start() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.alive()


def test_another_process_with_the_same_number_is_not_taken_for_it() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert not replace(me, started="of another boot:1").alive()


def test_a_process_that_ended_is_gone_even_before_anyone_asked_for_its_status() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        known = Identity.of(process.pid)
        assert known is not None
        process.kill()
        # Not waited for: it stays as a zombie until the block ends.
        wait_for(lambda: not known.alive())
        assert started_at(process.pid) is None


def test_the_arguments_and_children_of_a_process_are_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "a b"], stdin=subprocess.PIPE) as process:
        wait_for(lambda: command_line(process.pid)[-1:] == ("a b",))
        assert process.pid in children(os.getpid())
        process.kill()


def test_a_number_that_nobody_has_has_no_identity() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert Identity.of(process.pid) is None
    assert command_line(process.pid) == ()
