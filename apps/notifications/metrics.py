"""What Prometheus is told of e-mails."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apps.core.resources import sql
from apps.notifications import selectors


class EmailCollector(Collector):
    """Reads the database, by indexes alone."""

    def collect(self) -> Iterator[Metric]:
        """Everything, as of now."""
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "figures.sql"))
            *groups, (_, _, unsent, oldest) = cursor.fetchall()
        mails = GaugeMetricFamily(
            "chandlery_emails", "E-mails asked for within the last day", labels=["kind", "state"]
        )
        for kind, state, count, _ in groups:
            mails.add_metric([kind, state], count)
        yield mails
        yield GaugeMetricFamily("chandlery_emails_unsent", "E-mails that are still to be sent", unsent)
        yield GaugeMetricFamily(
            "chandlery_emails_oldest_unsent_seconds", "How long the first of them has waited; 0: none", oldest
        )
        yield GaugeMetricFamily(
            "chandlery_emails_suppressed_addresses",
            "Addresses to which nothing is sent",
            selectors.suppressions().count(),
        )
