"""What Prometheus is told of webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.tasks.durations import BOUNDS, Durations
from apps.webhooks.models import DeliveryCount

_LABELS = ("format", "outcome")


class WebhookCollector(Collector):
    """Reads what was counted when deliveries were logged."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        deliveries = CounterMetricFamily(
            "chandlery_webhook_deliveries",
            "Deliveries, by what became of them, and what refused them",
            labels=[*_LABELS, "layer", "code"],
        )
        answers = HistogramMetricFamily(
            "chandlery_webhook_answer_seconds",
            "Until the answer was known, without the commit",
            labels=_LABELS,
        )
        taken: dict[tuple[str, str], Durations] = {}
        for one in DeliveryCount.objects.order_by("format", "outcome", "layer", "code"):
            deliveries.add_metric([one.format, one.outcome, one.layer, one.code], one.count)
            labels = (one.format, one.outcome)
            taken[labels] = taken.get(labels, Durations()).plus(one.histogram, one.seconds)
        for labels, durations in taken.items():
            bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
            counts = (float(count) for count in accumulate(durations.counts))
            answers.add_metric(labels, list(zip(bounds, counts, strict=True)), durations.seconds)
        yield deliveries
        yield answers
