"""Figures about queues and tasks as JSON. Ages and durations are in seconds, rates per second."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.serializers import StrictSerializer
from apps.tasks.durations import Durations
from apps.tasks.stats import WINDOWS, Activity


class StatsQuerySerializer(StrictSerializer):
    """The query parameters of the figures."""

    window = serializers.ChoiceField(choices=list(WINDOWS), default="1h", help_text="Of time before now.")


class QueueBacklogSerializer(serializers.Serializer[Any]):
    """What of one queue has not ended or is dead."""

    queue = serializers.CharField()
    scheduled = serializers.IntegerField()
    due = serializers.IntegerField(help_text="Scheduled ones whose time has come.")
    queued = serializers.IntegerField()
    running = serializers.IntegerField()
    dead = serializers.IntegerField()
    due_lag = serializers.FloatField(allow_null=True, help_text="For how long the first due one has waited.")
    oldest_queued = serializers.FloatField(allow_null=True, help_text="For how long the first has waited.")
    oldest_running = serializers.FloatField(allow_null=True, help_text="For how long the first has run.")


class BacklogSerializer(QueueBacklogSerializer):
    """What of one task on one queue has not ended or is dead."""

    task = serializers.CharField()


class DurationsSerializer(serializers.Serializer[Any]):
    """Durations; the quantiles are told from a histogram with bounds at 1, 2, 5, 10, ..."""

    count = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)
    p50 = serializers.SerializerMethodField()
    p95 = serializers.SerializerMethodField()

    def get_p50(self, durations: Durations) -> float | None:
        return durations.quantile(0.5)

    def get_p95(self, durations: Durations) -> float | None:
        return durations.quantile(0.95)


class TotalSerializer(serializers.Serializer[Any]):
    """How often each event ever happened to the runs of one task on one queue."""

    queue = serializers.CharField()
    task = serializers.CharField()
    events = serializers.DictField(child=serializers.IntegerField())


class ActivitySerializer(TotalSerializer):
    """What happened to the runs of one task on one queue in the window."""

    seconds = serializers.FloatField(help_text="The window's true length.")
    rates = serializers.SerializerMethodField(help_text="Each event, per second.")
    failure_rate = serializers.FloatField(allow_null=True, help_text="Of the attempts that ended.")
    wait = DurationsSerializer(help_text="From when runs were due to their starts.")
    duration = DurationsSerializer(help_text="From the starts of attempts to their ends.")

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_rates(self, activity: Activity) -> dict[str, float]:
        return {event: activity.rate(event) for event in activity.events}


class FiguresSerializer(serializers.Serializer[Any]):
    """Everything as of one moment."""

    at = serializers.DateTimeField()
    window = serializers.CharField()
    queues = QueueBacklogSerializer(many=True)
    tasks = BacklogSerializer(many=True, source="backlogs")
    activity = ActivitySerializer(many=True, source="activities")
    totals = TotalSerializer(many=True)
