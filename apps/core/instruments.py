"""Figures that processes keep themselves: how to declare them, and what is told of them.

What the database knows is told by collectors (`apps.core.collectors`), by web processes alone.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import django
from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from apps.core import process, shards

# A sample for each counter that says since when it counts: nobody asks for these.
disable_created_metrics()  # type: ignore[no-untyped-call]

Kind = TypeVar("Kind", Counter, Gauge, Histogram)

_memory = CollectorRegistry(auto_describe=False)
_declared: dict[str, Instrument[Any]] = {}
#: Held while a metric is made, which two threads may want at once, and never afterwards.
_making = threading.Lock()


class Instrument(Generic[Kind]):
    """A metric of Prometheus's library, which is made when it is first used.

    It is declared where modules are imported, when it is not known yet whether figures are kept in files.
    Labels have few values, ever: names of routes and tasks, never of what users send.
    """

    def __init__(self, kind: type[Kind], name: str, meaning: str, *labels: str, **options: Any) -> None:
        self.name = name
        self.labels = labels
        self._kind: type[Kind] = kind
        self._meaning, self._options = meaning, options
        self._made: Kind | None = None
        _declared[name] = self

    @property
    def metric(self) -> Kind:
        """The metric itself."""
        if self._made is None:
            with _making:
                if self._made is None:
                    self._made = self._kind(
                        self.name, self._meaning, self.labels, registry=_memory, **self._options
                    )
        return self._made

    def of(self, *values: str) -> Kind:
        """The part of the metric that has these values of its labels."""
        made: Kind = self.metric.labels(*values)
        return made


def declared() -> Sequence[Instrument[Any]]:
    """All that modules have declared that were imported so far."""
    return list(_declared.values())


def make_all() -> None:
    """Make all metrics that are declared: those without labels are told from now on, be it as 0."""
    for instrument in declared():
        instrument.metric  # noqa: B018


class Own(Collector):
    """The figures of this process, or of its whole pool, and what code it runs."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        info = GaugeMetricFamily(
            "chandlery_build_info", "1; what code it is that runs", labels=["version", "python", "django"]
        )
        info.add_metric([settings.VERSION, platform.python_version(), django.get_version()], 1)
        yield info
        started = GaugeMetricFamily(
            "chandlery_process_start_time_seconds", "When the process began (Unix time)", labels=["kind"]
        )
        started.add_metric([process.kind()], process.STARTED)
        yield started
        make_all()
        folder = shards.folder()
        if folder is None:
            yield from _memory.collect()
        else:
            yield from MultiProcessCollector(None, str(folder)).collect()  # type: ignore[no-untyped-call]


#: What a process tells that serves nothing but its figures.
registry = CollectorRegistry(auto_describe=False)
registry.register(Own())
ProcessCollector(registry=registry)
