"""What a worker's main process tells of itself: its figures, and whether it is healthy."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.tasks.polling import polls
from apps.tasks.usage import usage
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
    """Whether a worker does what it is there for: its agent looks after runs, and its queues are polled."""

    def __init__(self, agent: Agent, *, polling: bool) -> None:
        self._agent = agent
        self._polling = polling

    def trouble(self) -> str:
        """Why it is not healthy; empty while it is."""
        if agent := self._agent.pulse.trouble():
            return f"agent: {agent}"
        if self._polling and (silent := polls.pulse.trouble()):
            return f"polls: {silent}"
        return str(usage.facts().get("trouble", ""))
