"""The product's own processes: how web, worker, beat and relay are started and when they are ready."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence

from apps.stack.child import Service
from apps.stack.folders import CHECKOUT
from apps.stack.probes import answers_http, says
from apps.stack.sockets import HOST, port_of

Environ = Mapping[str, str]


def web(environ: Environ, listener: socket.socket, *, threads: int = 8) -> Service:
    """gunicorn on the inherited *listener*; ready when /healthz answers."""
    fd = listener.fileno()
    return Service(
        name="web",
        argv=(
            *(sys.executable, "-m", "gunicorn", "project.wsgi:application", "--bind", f"fd://{fd}"),
            *("--worker-class", "gthread", "--workers", "1", "--threads", str(threads)),
            *("--config", "python:project.gunicorn", "--graceful-timeout", "5"),
        ),
        environ=environ,
        folder=CHECKOUT,
        ready=answers_http(f"http://{HOST}:{port_of(listener)}/healthz"),
        inherit=(fd,),
    )


def worker(environ: Environ, *, queues: Sequence[str] = (), concurrency: int = 2) -> Service:
    """A Celery worker on *queues* (all when none is named); ready when it says so."""
    return Service(
        name="worker",
        argv=(
            # Root runs the demo as root runs anything else: Celery's warning at each start tells nobody new.
            *(sys.executable, "-W", "ignore:You're running the worker with superuser"),
            *("-m", "celery", "-A", "project", "worker", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "-c", str(concurrency)),
            *(("-Q", ",".join(queues)) if queues else ()),
        ),
        environ=environ,
        folder=CHECKOUT,
        ready=says(" ready."),
        # More than TASKS_SHUTDOWN_GRACE: what is not done by then is handed back.
        stop_timeout=40.0,
    )


def beat(environ: Environ) -> Service:
    """Celery beat, which keeps its state in the database."""
    return Service(
        name="beat",
        argv=(
            *(sys.executable, "-m", "celery", "-A", "project", "beat", "--loglevel", "INFO"),
            *("--pidfile", ""),
        ),
        environ=environ,
        folder=CHECKOUT,
        ready=says("beat: Starting"),
    )


def relay(environ: Environ) -> Service:
    """The relay, which publishes what is due; ready when it listens."""
    return Service(
        name="relay",
        argv=(sys.executable, str(CHECKOUT / "manage.py"), "relay"),
        environ=environ,
        folder=CHECKOUT,
        ready=says("relay ready."),
    )
