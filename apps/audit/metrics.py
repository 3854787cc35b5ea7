"""What Prometheus is told of the audit."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.audit import selectors


class AuditCollector(Collector):
    """Reads the database."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        state = selectors.state()
        written = state.head.sequence if state.head else 0
        yield CounterMetricFamily(
            "chandlery_audit_recorded",
            "Audit entries made, those on their way included",
            written + state.waiting,
        )
        yield CounterMetricFamily("chandlery_audit_written", "Audit entries in the chain", written)
        yield GaugeMetricFamily("chandlery_audit_waiting", "Audit entries on their way", state.waiting)
        yield GaugeMetricFamily(
            "chandlery_audit_lag_seconds", "How long the first audit entry on its way has waited", state.lag
        )
        last = state.last
        yield GaugeMetricFamily(
            "chandlery_audit_broken",
            "Findings of the last verification that nobody has accepted; 0: the chain is sound",
            last.findings if last is not None and not last.accepted else 0,
        )
        yield GaugeMetricFamily(
            "chandlery_audit_unverified", "Audit entries since the last sound verification", state.unverified
        )
