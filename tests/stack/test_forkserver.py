"""Forked processes are to those who watch them what started ones are."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.stack import forkserver
from apps.stack.child import Service, popen
from apps.stack.environment import inherited
from apps.stack.folders import CHECKOUT
from tests.support import wait_until

SAYS = """
import os, sys, threading
print(sys.argv[1:], os.getcwd(), os.environ["WORD"], os.environ.get("HOME"), os.getsid(0) == os.getpid())
print("warned", file=sys.stderr)
print([thread.name for thread in threading.enumerate()], len(os.listdir("/proc/self/fd")))
"""
WAITS = "print('up', flush=True)\nimport time\ntime.sleep(60)\n"


@pytest.fixture(params=[forkserver.spawn, popen], ids=["forked", "started"])
def start(request, tmp_path):
    running = []

    def start(program: str, *arguments: str, **environ: str):
        (tmp_path / "program.py").write_text(program)
        service = Service(
            name="program",
            argv=(sys.executable, str(tmp_path / "program.py"), *arguments),
            environ=inherited(WORD="here", **environ),
            folder=tmp_path,
        )
        with (tmp_path / "log").open("ab") as log:
            running.append(request.param(service, log))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "log"


def test_it_has_its_own_arguments_folder_environment_session_and_log(start, tmp_path, log):
    assert start(SAYS, "a", "b c").wait() == 0
    said, warned, inside = log.read_text().splitlines()
    assert said.startswith(f"['a', 'b c'] {tmp_path} here ")
    assert said.endswith(" True")
    assert warned == "warned"
    # Standard streams, and the list's own descriptor.
    assert inside == "['MainThread'] 4"


@pytest.mark.parametrize(
    ("program", "status", "says"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit('no use')", 1, "no use"),
        ("raise ValueError('broken')", 1, "ValueError: broken"),
        ("import atexit; atexit.register(print, 'bye')", 0, "bye"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(.3), print('late'))).start()",
         0, "late"),
    ],
)  # fmt: skip
def test_how_it_ends_is_known(start, log, program, status, says):
    process = start(program)
    assert process.wait() == status
    assert process.poll() == status
    assert says in log.read_text()
    process.send_signal(signal.SIGTERM)


def test_it_can_be_stopped_continued_and_ended(start, log):
    process = start(WAITS)
    wait_until(lambda: "up" in log.read_text())
    for number in (signal.SIGSTOP, signal.SIGCONT):
        process.send_signal(number)
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM


def test_a_clock_that_reads_its_zone_at_the_start_gets_it(start, log):
    assert start("import time; print(time.strftime('%Z'))", TZ="Asia/Tokyo").wait() == 0
    assert log.read_text() == "JST\n"


def test_modules_are_run_by_their_name_and_warnings_are_left_out(tmp_path, log):
    (tmp_path / "module.py").write_text(
        "import sys, warnings\nwarnings.warn('known')\nwarnings.warn('new')\nprint(__name__, sys.argv[1:])\n"
    )
    service = Service(
        name="module",
        argv=(sys.executable, "-W", "ignore:known", "-m", "module", "x"),
        environ=inherited(),
        folder=tmp_path,
    )
    with log.open("ab") as file:
        assert forkserver.spawn(service, file).wait() == 0
    said = log.read_text()
    assert "known" not in said.replace("warnings.warn('known')", "")
    assert "UserWarning: new" in said
    assert said.endswith("__main__ ['x']\n")


ASKS = """
import sys, time
from pathlib import Path
from apps.stack import forkserver
from apps.stack.child import Service
from apps.stack.environment import inherited
service = Service(name="waits", argv=(sys.executable, sys.argv[1]), environ=inherited(), folder=Path.cwd())
with open(sys.argv[2], "ab") as log:
    print(forkserver.spawn(service, log).pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_what_was_forked_dies_with_the_process_that_asked_for_it(tmp_path, log):
    (tmp_path / "waits.py").write_text(WAITS)
    command = [sys.executable, "-c", ASKS, str(tmp_path / "waits.py"), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        wait_until(lambda: "up" in log.read_text())
        assert alive(pid)
        asking.kill()
    wait_until(lambda: not alive(pid), what="the forked process to end")


TELLS = """
import os, sys
from celery import current_app
from django.conf import settings
from django.core.cache import caches
from django.db import connection
print(os.environ["BEFORE"], "apps.tasks.tasks" in sys.modules)
print(connection.settings_dict["NAME"], caches["default"]._server, settings.REDIS_KEY_PREFIX)
print(current_app.conf.broker_transport_options["queue_name_prefix"], settings.LOGGING["root"]["level"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_each_process_of_the_product_has_its_own_settings_whoever_set_django_up(tmp_path):
    for name in ("first", "second"):
        service = Service(
            name=name,
            argv=(sys.executable, str(CHECKOUT / "manage.py"), "shell", "--no-imports", "-c", TELLS),
            environ=inherited(
                BEFORE=name,
                DATABASE_URL=f"postgres://x@127.0.0.1:1/{name}",
                REDIS_URL=f"redis://{name}/0",
                REDIS_KEY_PREFIX=f"{name}-keys",
                SQS_QUEUE_PREFIX=f"{name}-queues-",
                LOG_LEVEL="ERROR" if name == "first" else "DEBUG",
            ),
            folder=CHECKOUT,
        )
        with (tmp_path / name).open("ab") as log:
            assert forkserver.spawn_set_up(service, log).wait() == 0, (tmp_path / name).read_text()
    assert (tmp_path / "first").read_text().splitlines() == [
        "first True",
        "first redis://first/0 first-keys",
        "first-queues- ERROR",
    ]
    assert (tmp_path / "second").read_text().splitlines() == [
        "second True",
        "second redis://second/0 second-keys",
        "second-queues- DEBUG",
    ]


def test_a_process_with_other_settings_than_ours_is_not_set_up_before(tmp_path, log):
    (tmp_path / "others.py").write_text("SECRET_KEY = 'others'\n")
    program = "import sys; print('apps.tasks.tasks' in sys.modules, 'django.conf' in sys.modules)"
    (tmp_path / "program.py").write_text(program)
    service = Service(
        name="program",
        argv=(sys.executable, str(tmp_path / "program.py")),
        environ=inherited(DJANGO_SETTINGS_MODULE="others"),
        folder=tmp_path,
    )
    with log.open("ab") as file:
        assert forkserver.spawn_set_up(service, file).wait() == 0
    assert log.read_text() == "False True\n"
