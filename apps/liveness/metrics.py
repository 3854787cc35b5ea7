"""What Prometheus is told of who is alive."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.liveness import populations
from apps.liveness.leases import Unavailable
from apps.liveness.models import OrphanCount, Scan


class MemberCollector(Collector):
    """Reads Redis; without it its figures are absent."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        members = GaugeMetricFamily(
            "chandlery_liveness_members", "Members with a mark in Redis", labels=["population", "condition"]
        )
        reachable = GaugeMetricFamily("chandlery_liveness_reachable", "Whether Redis says who is alive")
        answers = True
        for one in populations.everyone():
            try:
                counts = one.leases.counts()
            except Unavailable:
                answers = False
                break
            for condition in ("alive", "stale", "orphaned", "claimed"):
                members.add_metric([one.name, condition], getattr(counts, condition))
        reachable.add_metric([], 1 if answers else 0)
        yield members
        yield reachable


class OrphanCollector(Collector):
    """Reads the database."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        orphans = CounterMetricFamily(
            "chandlery_liveness_orphans", "Orphans that were settled", labels=["population", "kind"]
        )
        for count in OrphanCount.objects.order_by("population", "kind"):
            orphans.add_metric([count.population, count.kind], count.count)
        yield orphans
        scan = Scan.objects.first()
        if scan is not None:
            yield GaugeMetricFamily(
                "chandlery_liveness_scan_age_seconds",
                "Since the last look for orphans",
                max(0.0, (timezone.now() - scan.at).total_seconds()),
            )
            yield GaugeMetricFamily(
                "chandlery_liveness_scan_duration_seconds",
                "How long the last look for orphans took",
                scan.duration,
            )
            refused = GaugeMetricFamily(
                "chandlery_liveness_refused",
                "Whether the last look for orphans left a population alone",
                labels=["population"],
            )
            for name, found in sorted(scan.populations.items()):
                refused.add_metric([name], 1 if found["refused"] else 0)
            yield refused
