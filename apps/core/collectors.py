"""Where apps register what ``GET /metrics`` asks: apart from the view, which a worker need not import."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from threading import Lock

from django.db import Error
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.core.readiness import Probe, Watched, ask_database

logger = logging.getLogger(__name__)


class DatabaseCollector(Collector):
    """Collectors that read the database, and whether each of them could: what one cannot read is absent."""

    def __init__(self) -> None:
        self._parts: dict[str, Collector] = {}
        #: Those of which the log says that they could not.
        self._missing: set[str] = set()
        self._asking = Lock()
        self._watched = Watched(Probe(name="figures", ask=ask_database, essential=False))

    def register(self, name: str, part: Collector) -> None:
        """Have this asked, too, under the name of what its figures are of."""
        self._parts[name] = part

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now. Where the database gives no answer within 2 seconds, nobody is asked."""
        read = GaugeMetricFamily(
            "chandlery_collector_up",
            "1 where the figures of an area were read from the database; 0: they are missing",
            labels=["collector"],
        )
        away = self._away()
        for name, part in self._parts.items():
            fault = away
            if not away:
                try:
                    yield from part.collect()
                except Error as exc:
                    fault = f"{type(exc).__name__}: {exc}"
            self._tell(name, fault)
            read.add_metric([name], 0 if fault else 1)
        yield read

    def _away(self) -> str:
        """Why the database cannot be asked; empty where it can."""
        with self._asking:
            self._watched.begin()
            return self._watched.end(time.monotonic())

    def _tell(self, name: str, fault: str) -> None:
        if fault and name not in self._missing:
            logger.warning("the figures of %s are missing: %s", name, " ".join(fault.split()))
            self._missing.add(name)
        elif not fault:
            self._missing.discard(name)


#: For those that read the database.
database = DatabaseCollector()

#: The collectors that are asked, each time anew: that, and those that need no database.
registry = CollectorRegistry(auto_describe=False)
registry.register(database)
