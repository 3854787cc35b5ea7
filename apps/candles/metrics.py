"""What Prometheus is told of candles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import connection
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.candles import conf
from apps.core.resources import sql

#: How far back the newest minute is looked for; what is older counts as that old.
_HORIZON = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


class CandleCollector(Collector):
    """Reads the newest partitions, one row of each followed instrument."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        now = timezone.now()
        with connection.cursor() as cursor:
            cursor.execute(
                sql(__package__, "lag.sql"), {"since": now - _HORIZON, "fresh": now - conf.stale() - _MINUTE}
            )
            found = cursor.fetchall()
        followed = GaugeMetricFamily(
            "chandlery_candles_followed",
            "Instruments whose newest minutes are kept stored",
            labels=["exchange"],
        )
        stale = GaugeMetricFamily(
            "chandlery_candles_stale", "Those of them whose newest minute is too old", labels=["exchange"]
        )
        lag = GaugeMetricFamily(
            "chandlery_candles_lag_seconds",
            "Since the end of the newest minute of any of them; a day at most",
            labels=["exchange"],
        )
        for exchange, count, late, newest in found:
            followed.add_metric([exchange], count)
            stale.add_metric([exchange], late)
            age = now - newest - _MINUTE if newest is not None else _HORIZON
            lag.add_metric([exchange], max(age.total_seconds(), 0.0))
        yield from (followed, stale, lag)
