"""Python processes that start fast: forked from one that has imported the libraries already.

A worker, beat or relay spends seconds of CPU on imports before its first line of work, which is fine once a
deployment and not hundreds of times a test run. What is forked is otherwise as new: a session, environment,
arguments and log of its own, no settings read, no connection open, and of the product's modules only those
of the backtest engine imported, which know nothing of either.

Processes of the product may be forked from one that has set Django up besides (`spawn_set_up`): its modules
are imported then, and its settings are read again from the new environment.

Linux only: elsewhere, and for another program than this Python, the process is started in the ordinary way.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import re
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from apps.stack.child import Process, Service, end_with_parent, popen

#: What the product's processes import that reads no settings and holds neither thread nor connection.
_LIBRARIES = (
    "apps.backtests.engine",
    "apps.backtests.engine.sweep",
    "boto3",
    "botocore.client",
    "botocore.endpoint",
    "botocore.handlers",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.contrib.django.task",
    "celery.fixups.django",
    "celery.utils.dispatch",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "django.core.management",
    "django.db.backends.postgresql.base",
    "django.db.migrations.executor",
    "django.http",
    "django_redis.client",
    "environ",
    "kombu.asynchronous.aws.sqs.connection",
    "kombu.asynchronous.http.curl",
    "kombu.transport.SQS",
    "numpy",
    "prometheus_client",
    "psycopg",
    "pyarrow",
    "redis",
    "smtplib",
)
#: What they import besides once Django is set up.
_PRODUCT = (
    "apps.tasks.beat",
    "apps.tasks.management.commands.relay",
    "apps.tasks.results",
    "apps.tasks.transport",
    "apps.tasks.worker.agent",
    "apps.tasks.worker.consumer",
    "apps.tasks.worker.mainloop",
    "apps.tasks.worker.watchdog",
)
_SETTINGS = "DJANGO_SETTINGS_MODULE"
_CHECKOUT = Path(__file__).resolve().parents[2]
_LENGTH = 1 << 20
_NUMBER = 8


class Forked:
    """A process of the server, with what `subprocess.Popen` offers of one.

    Its number and later its status (negative: the signal that ended it) come through *reports*.
    """

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._lock = threading.Lock()
        self._status: int | None = None
        number = self._report(None)
        if number is None:
            raise OSError("the fork server has ended")
        self.pid = number

    def _report(self, timeout: float | None) -> int | None:
        """The next report; None when the server is gone. Raises TimeoutError when there is none in time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reports, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise TimeoutError
        report = os.read(self._reports, _NUMBER)
        return int.from_bytes(report, "big", signed=True) if report else None

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        with contextlib.suppress(TimeoutError):
            self.wait(0)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, when it has ended. Raises TimeoutError when it has not after *timeout* seconds."""
        with self._lock:
            if self._status is None:
                status = self._report(timeout)
                # The kernel ends the children of a server that is gone.
                self._status = -signal.SIGKILL if status is None else status
                os.close(self._reports)
            return self._status

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to it."""
        self.send_signal(signal.SIGKILL)


class _Client:
    """The server of this process: started with the first fork, ended with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._owner = 0

    def fork(self, request: dict[str, object], log: int) -> Forked:
        with self._lock:
            connection = self._connected()
            reports, told = os.pipe()
            try:
                socket.send_fds(connection, [json.dumps(request).encode()], [log, told])
            finally:
                os.close(told)
        return Forked(reports)

    def _connected(self) -> socket.socket:
        if self._socket is None or self._owner != os.getpid():
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LENGTH)
            with theirs:
                self._start(theirs)
            self._socket, self._owner = ours, os.getpid()
            atexit.register(ours.close)
        return self._socket

    def _start(self, theirs: socket.socket) -> None:
        # A thread that starts processes may end before the others' do: this one ends with the socket.
        server = subprocess.Popen(
            (sys.executable, "-m", __name__, str(theirs.fileno())),
            cwd=_CHECKOUT,
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        # Handlers run in reverse order: this one after the socket is closed.
        atexit.register(server.wait)


class _SetUpClient(_Client):
    """A server of this process that has set Django up with this process's settings: forked from the other."""

    def _start(self, theirs: socket.socket) -> None:
        _client.fork(
            {
                "argv": [],
                "environ": dict(os.environ),
                "folder": str(_CHECKOUT),
                "death_signal": int(signal.SIGKILL),
            },
            theirs.fileno(),
        )


_client = _Client()
_set_up_client = _SetUpClient()


def spawn(service: Service, log: BinaryIO) -> Process:
    """Start *service*, by a fork where that is possible. For `Service.spawn`."""
    return _spawn(_client, service, log)


def spawn_set_up(service: Service, log: BinaryIO) -> Process:
    """The same for a process of the product: where it has the settings of this process, Django is set up."""
    same = service.environ.get(_SETTINGS) == os.environ.get(_SETTINGS)
    return _spawn(_set_up_client if same else _client, service, log)


def _spawn(client: _Client, service: Service, log: BinaryIO) -> Process:
    if not sys.platform.startswith("linux") or service.argv[0] != sys.executable or service.inherit:
        return popen(service, log)
    return client.fork(
        {
            "argv": service.argv[1:],
            "environ": dict(service.environ),
            "folder": str(service.folder),
            "death_signal": int(service.death_signal),
        },
        log.fileno(),
    )


def _serve(connection: socket.socket) -> None:
    """Fork what is asked for, and report who ended, until the other side is gone."""
    # Shared by all that are forked: their collections need not look at it.
    gc.collect()
    gc.freeze()
    told: dict[int, int] = {}
    woken, wakeup = socket.socketpair()
    for end in (woken, wakeup):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(connection, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is woken:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
                _report_ended(told)
                continue
            message, descriptors, _, _ = socket.recv_fds(connection, _LENGTH, 2)
            if not message:
                return
            log, reports = descriptors
            server = os.getpid()
            pid = os.fork()
            if pid == 0:
                selector.close()
                for end in (connection, woken, wakeup):
                    end.detach()
                _become(json.loads(message), log, server)
            told[pid] = reports
            os.close(log)
            _tell(reports, pid)


def _report_ended(told: dict[int, int]) -> None:
    for pid, reports in list(told.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _tell(reports, os.waitstatus_to_exitcode(status))
            os.close(reports)
            del told[pid]


def _tell(reports: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(reports, number.to_bytes(_NUMBER, "big", signed=True))


def _become(request: dict[str, object], log: int, server: int) -> None:
    """Be the process that was asked for; never returns.

    Without a program it is a server with Django set up, and *log* the socket of its client.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    end_with_parent(server, signal.Signals(int(str(request["death_signal"]))))
    argv = request["argv"]
    assert isinstance(argv, list)
    kept = 3
    if argv:
        os.dup2(log, 1)
        os.dup2(log, 2)
    else:
        kept = os.dup2(log, 3) + 1
    os.closerange(kept, os.sysconf("SC_OPEN_MAX"))
    sys.stdout = os.fdopen(1, "w", 1, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    environ = request["environ"]
    assert isinstance(environ, dict)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(str(request["folder"]))
    if argv:
        _forget_settings()
        _run(argv)
    else:
        _set_up()
        _serve(socket.socket(fileno=3))
        os._exit(0)


def _set_up() -> None:
    """Import the product's modules, which read no settings, as its processes do."""
    import django
    from celery import current_app
    from django.core.cache import caches
    from django.db import connections
    from django.utils.module_loading import autodiscover_modules

    django.setup()
    autodiscover_modules("tasks")
    for module in _PRODUCT:
        importlib.import_module(module)
    used = [connection for connection in connections.all(initialized_only=True) if connection.connection]
    configured = current_app.configured  # type: ignore[attr-defined]
    if used or "settings" in vars(caches) or configured or threading.active_count() > 1:
        raise RuntimeError("what was imported is more than modules, and not to be shared")


def _forget_settings() -> None:
    """Have those that were read here read again, when they are asked for."""
    module = os.environ.get(_SETTINGS, "")
    if module not in sys.modules:
        return
    from django.conf import settings
    from django.db import connections
    from django.utils.functional import empty

    package = module.rpartition(".")[0]
    for name in [each for each in sys.modules if each == module or each.startswith(f"{package}.")]:
        del sys.modules[name]
    settings._wrapped = empty
    # Django asks the backend, though no server, when it imports models.
    for connection in connections.all(initialized_only=True):
        del connections[connection.alias]
    connections._settings = None  # type: ignore[attr-defined]
    del connections.settings


def _run(argv: Sequence[str]) -> None:
    """What Python does with these arguments; never returns."""
    status: object = 0
    try:
        rest = list(argv)
        while rest[0] == "-W":
            action, message = rest[1].split(":", 1)
            warnings.filterwarnings(action, re.escape(message))  # type: ignore[arg-type]
            del rest[:2]
        if rest[0] == "-m":
            sys.argv, sys.path[0] = rest[1:], str(Path.cwd())
            runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = rest, str(Path(rest[0]).parent)
            runpy.run_path(rest[0], run_name="__main__")
    except SystemExit as exit_:
        status = exit_.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)  # noqa: T201  (as Python does with sys.exit("…"))
        status = 1
    # As at any end of a program: threads are waited for, handlers of atexit run.
    sys.exit(status)


def main() -> None:
    """The server: ``python -m apps.stack.forkserver DESCRIPTOR``."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    for library in _LIBRARIES:
        importlib.import_module(library)
    importlib.import_module("apps.core.aws").warm_up()
    _serve(connection)


if __name__ == "__main__":
    main()
