"""gunicorn's settings: ``gunicorn project.wsgi --config python:project.gunicorn``.

What a version of gunicorn does not know it passes over.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings.dev")

from django.conf import settings
from django.utils.log import configure_logging
from gunicorn.glogging import Logger

from apps.core import process, shards

process.serve()


class ProjectLogger(Logger):  # type: ignore[misc]
    """gunicorn's own lines, handled like all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for name in ("gunicorn.error", "gunicorn.access"):
            log = logging.getLogger(name)
            log.handlers.clear()
            log.propagate = True


logger_class = ProjectLogger
bind = "0.0.0.0:8000"
# How many processes there are is said by WEB_CONCURRENCY, which gunicorn reads itself.
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "8"))
timeout = 60
graceful_timeout = 30
# Longer than a load balancer keeps a connection that nobody uses: it shall never find one closed.
keepalive = 75
# Signs of life of the processes: memory, where a disk that is busy would let them seem dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# Whom to believe of TLS is for the product to say: gunicorn would believe whoever connects from this machine.
secure_scheme_headers: dict[str, str] = {}
# Its default place is the home folder, which may be shared or not writable.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """The master begins: what it logs has our form, and it answers for the figures of its workers."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    process.begin("web", pool=True, traced=False)


def pre_fork(server: Any, worker: Any) -> None:
    """Choose the slot of the worker that is about to be forked."""
    worker.slot = shards.lowest_free({one.slot for one in server.WORKERS.values()})


def post_fork(server: Any, worker: Any) -> None:
    """The new worker takes its slot."""
    shards.take(worker.slot)


def child_exit(server: Any, worker: Any) -> None:
    """A worker has ended: nothing of it is going on any more."""
    shards.free(worker.slot)
