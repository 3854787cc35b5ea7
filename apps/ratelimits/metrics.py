"""What Prometheus is told of rate limits."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.ratelimits import selectors
from apps.ratelimits.limiter import Unavailable

#: Kind of count -> metric, what it says, and its labels.
_FAMILIES = {
    "decisions": (
        "chandlery_ratelimit_decisions",
        "Requests that were counted, by what became of them; cached: denied without asking Redis",
        ("group", "outcome"),
    ),
    "denials": (
        "chandlery_ratelimit_denials",
        "Requests that a policy denied, or would have (shadow)",
        ("policy", "mode"),
    ),
    "outages": (
        "chandlery_ratelimit_outages",
        "Requests that were decided without Redis, by what the group has for that",
        ("group", "outage"),
    ),
    "failures": ("chandlery_ratelimit_failures", "Times that Redis gave no answer", ("reason",)),
    "unidentified": ("chandlery_ratelimit_unidentified", "Requests without an address", ()),
}


class RateLimitCollector(Collector):
    """Reads what all processes have counted; without Redis its figures are absent."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of a second ago."""
        reachable = GaugeMetricFamily(
            "chandlery_ratelimit_reachable", "Whether Redis says what is left of rate limits"
        )
        try:
            found = selectors.counts()
        except Unavailable:
            reachable.add_metric([], 0)
            yield reachable
            return
        reachable.add_metric([], 1)
        yield reachable
        families = {
            kind: CounterMetricFamily(name, text, labels=labels)
            for kind, (name, text, labels) in _FAMILIES.items()
        }
        for one in found:
            if one.kind in families:
                families[one.kind].add_metric(list(one.labels), one.count)
        yield from families.values()
