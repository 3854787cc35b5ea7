"""What is added to a Celery worker when it starts."""

from __future__ import annotations

import atexit
import signal
import threading
from typing import Any

from billiard.common import REMAP_SIGTERM
from billiard.process import current_process
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
        from apps.core import listener
        from apps.core.instruments import registry
        from apps.core.pulse import Pulse
        from apps.tasks import conf
        from apps.tasks.models import Process
        from apps.tasks.polling import polls
        from apps.tasks.processes import Report
        from apps.tasks.worker.agent import Agent
        from apps.tasks.worker.figures import Health, WorkerCollector
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
        polls.pulse = Pulse(conf.poll_watchdog())
        registry.register(WorkerCollector())
        listener.listen(Health(agent, polling=loop.has_event_loop))
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
    """Give *app* the guarded transport, the upkeep of its workers' runs, reports and figures of its
    processes, and ids for canvases that sort by time.
    """
    canvas.install()
    TRANSPORT_ALIASES["guardedsqs"] = "apps.tasks.transport:Transport"
    app.steps["worker"].add(Upkeep)
    signals.task_prerun.connect(_refresh_connection, weak=False)
    signals.setup_logging.connect(_leave_logging, weak=False)
    signals.celeryd_init.connect(_begin_worker, weak=False)
    signals.worker_process_init.connect(_begin_process, weak=False)
    signals.worker_process_shutdown.connect(_end_process, weak=False)
    signals.beat_init.connect(_begin_beat, weak=False)


def _refresh_connection(**_: Any) -> None:
    from apps.core.database import refresh

    refresh()


def _leave_logging(**_: Any) -> None:
    """Nothing: that somebody listens to the signal keeps Celery from setting up logging its own way."""


def _begin_worker(**_: Any) -> None:
    from apps.core import process

    process.begin("worker", pool=True)


def _begin_process(**_: Any) -> None:
    from apps.core import shards

    shards.take(current_process().index + 1)  # type: ignore[attr-defined]


def _end_process(**_: Any) -> None:
    from apps.core import tracing

    tracing.flush()


def _begin_beat(sender: Any, **_: Any) -> None:
    from apps.core import listener, process
    from apps.tasks.beat import DurableScheduler
    from apps.tasks.models import Process
    from apps.tasks.processes import Report

    process.begin("beat")
    if isinstance(sender.scheduler, DurableScheduler):
        listener.listen(sender.scheduler)
    report = Report(Process.Kind.BEAT).start()
    atexit.register(report.stop)
