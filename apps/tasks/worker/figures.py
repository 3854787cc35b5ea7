"""What a worker's main process tells of itself: its figures, and how it stands."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.tasks.polling import polls
from apps.tasks.worker.agent import Agent
from apps.tasks.worker.requests import in_hand


class WorkerCollector(Collector):
    """Reads what the main process keeps anyway: it takes no lock, which a fork could copy in use."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        yield GaugeMetricFamily(
            "chandlery_worker_running", "Attempts that the worker's processes are executing", len(in_hand)
        )
        outcomes = CounterMetricFamily(
            "chandlery_worker_polls", "Polls of SQS that ended", labels=["queue", "outcome"]
        )
        for labels, count in list(polls.outcomes.items()):
            outcomes.add_metric(labels, count)
        yield outcomes


class Health:
    """How a worker stands: see `apps.core.listener.Health`."""

    def __init__(self, agent: Agent, *, polling: bool) -> None:
        self._agent = agent
        self._polling = polling

    def trouble(self) -> str:
        """That its agent does not look after runs any more, or that its queues are not polled at all.

        A poll that fails is one: while SQS is away a new process would do no better, and the runs that this
        one executes would be interrupted.
        """
        if agent := self._agent.pulse.trouble():
            return f"agent: {agent}"
        # Where it is ending, it polls no more on purpose.
        polling = self._polling and not self._agent.shutdown.under_way
        if polling and (silent := polls.pulse.trouble()):
            return f"polls: {silent}"
        return ""

    def hindrance(self) -> str:
        """What keeps it from receiving runs: its end, the database, or SQS."""
        if self._agent.shutdown.under_way:
            return "it is ending"
        if self._agent.away:
            return "the database is away"
        failing = sorted(dict(polls.failures))
        return f"polls fail: {', '.join(failing)}" if failing else ""
