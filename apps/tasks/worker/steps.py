"""What is added to a Celery worker when it starts."""

from __future__ import annotations

import atexit
import signal
import threading
from typing import Any

from billiard.common import REMAP_SIGTERM
from celery import Celery, bootsteps, platforms, signals
from kombu.transport import TRANSPORT_ALIASES

from apps.tasks import canvas
from apps.tasks.worker.identity import assume_identity


class Upkeep(bootsteps.StartStopStep):
    """Starts the agent and the watchdog, and has signals end the worker in time."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        # Before the pool forks: its processes share it.
        self._identity = assume_identity(parent.hostname)
        parent.app.conf.broker_transport_options["handlers"] = parent.concurrency

    def start(self, parent: Any) -> None:
        """Begin: the pool is there, and nothing is received yet."""
        from apps.tasks.models import Process
        from apps.tasks.processes import Report
        from apps.tasks.worker.agent import Agent
        from apps.tasks.worker.mainloop import MainLoop
        from apps.tasks.worker.shutdown import EXIT
        from apps.tasks.worker.watchdog import Watchdog

        loop = MainLoop(parent)
        loop.notice_deaths()
        loop.write_at_once()
        report = Report(
            Process.Kind.WORKER,
            name=self._identity,
            queues=list(parent.app.amqp.queues.consume_from),
            concurrency=parent.concurrency,
        )
        self._agent = agent = Agent(loop, self._identity, report)
        agent.start()
        if loop.has_event_loop:
            watchdog = Watchdog(
                agent.shutdown,
                end=lambda reason: agent.end(reason, code=EXIT),
                idle=lambda: not loop.busy,
            )
            watchdog.start()
        if threading.current_thread() is threading.main_thread():
            self._take_signals(parent)
        signals.worker_shutdown.connect(self._ended, weak=False)

    def _take_signals(self, parent: Any) -> None:
        def on_signal(number: int, _: Any) -> None:
            name = signal.Signals(number).name
            signals.worker_shutting_down.send(sender=parent.hostname, sig=name, how="Warm", exitcode=0)
            self._agent.end(f"{name} received", code=0)

        for name in ("SIGINT", "SIGTERM"):
            if not (name == "SIGTERM" and REMAP_SIGTERM == "SIGQUIT"):
                platforms.signals[name] = on_signal

    def _ended(self, **_: Any) -> None:
        self._agent.finish()

    def stop(self, parent: Any) -> None:
        """Go on: the pool, which this step requires, stops after it and waits for its runs."""

    def terminate(self, parent: Any) -> None:
        """A cold shutdown: the pool is killed next, and what it has in hand goes back."""
        self._agent.shutdown.hand_back("cold shutdown")
        self._agent.finish()


def install(app: Celery) -> None:
    """Give *app* the guarded transport, the upkeep of its workers' runs, reports of its beat, and ids for
    canvases that sort by time.
    """
    canvas.install()
    TRANSPORT_ALIASES["guardedsqs"] = "apps.tasks.transport:Transport"
    app.steps["worker"].add(Upkeep)
    signals.task_prerun.connect(_refresh_connection, weak=False)
    signals.beat_init.connect(_report_beat, weak=False)


def _refresh_connection(**_: Any) -> None:
    from apps.core.database import refresh

    refresh()


def _report_beat(**_: Any) -> None:
    from apps.tasks.models import Process
    from apps.tasks.processes import Report

    report = Report(Process.Kind.BEAT).start()
    atexit.register(report.stop)
