"""Runs and their history as JSON."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.tasks import selectors
from apps.tasks.models import TaskRun
from apps.tasks.states import State


class TaskRunSerializer(serializers.ModelSerializer[TaskRun]):
    """A run without its history."""

    class Meta:
        model = TaskRun
        fields = [
            "id", "task", "queue", "state", "attempt", "max_attempts", "requested_at", "due_at",
            "published_at", "started_at", "finished_at", "worker", "cancel_requested", "progress",
            "args", "kwargs", "result", "error",
        ]  # fmt: skip
        read_only_fields = fields


class TimelineEntrySerializer(serializers.Serializer[Any]):
    """One event of a run."""

    version = serializers.IntegerField()
    type = serializers.CharField()
    meaning = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    elapsed = serializers.SerializerMethodField(help_text="Seconds since the event before.")
    data = serializers.JSONField()  # type: ignore[assignment]
    meta = serializers.JSONField()

    def get_elapsed(self, entry: selectors.TimelineEntry) -> float | None:
        return entry.elapsed.total_seconds() if entry.elapsed is not None else None


class TaskRunDetailSerializer(TaskRunSerializer):
    """A run with everything that happened to it."""

    events = serializers.SerializerMethodField()

    class Meta(TaskRunSerializer.Meta):
        fields = [*TaskRunSerializer.Meta.fields, "events"]
        read_only_fields = fields

    def get_events(self, run: TaskRun) -> list[dict[str, Any]]:
        shown = TimelineEntrySerializer()
        return [shown.to_representation(entry) for entry in selectors.timeline(run.pk)]


class TaskRunFilterSerializer(serializers.Serializer[Any]):
    """The query parameters of the list."""

    state = serializers.ChoiceField(choices=State.choices, required=False)
    task = serializers.CharField(required=False)
    queue = serializers.CharField(required=False)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=50)
