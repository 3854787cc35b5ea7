"""Runs and their history as JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.tasks import selectors
from apps.tasks.batches import Progress
from apps.tasks.models import Batch, TaskRun
from apps.tasks.states import State


class TaskRunSerializer(serializers.ModelSerializer[TaskRun]):
    """A run without its history."""

    class Meta:
        model = TaskRun
        fields = [
            "id", "task", "queue", "state", "attempt", "max_attempts", "requested_at", "due_at",
            "published_at", "started_at", "finished_at", "worker", "cancel_requested", "progress",
            "args", "kwargs", "result", "error", "batch_id", "continuation",
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


class FailedRunSerializer(serializers.ModelSerializer[TaskRun]):
    """A run of a batch that is dead or cancelled."""

    class Meta:
        model = TaskRun
        fields = ["id", "task", "batch_index", "state", "attempt", "finished_at", "error"]
        read_only_fields = fields


class BatchSerializer(serializers.ModelSerializer[Batch]):
    """A batch and how far it is. The instance has its `Progress` in the context, as ``progress``."""

    done = serializers.SerializerMethodField(help_text="Runs that have ended, whatever happened.")
    failed = serializers.SerializerMethodField(help_text="Runs that are dead or cancelled.")
    counts = serializers.SerializerMethodField(help_text="Runs by state.")
    failed_runs = serializers.SerializerMethodField(help_text="The first hundred of them.")

    class Meta:
        model = Batch
        fields = [
            "id", "description", "state", "reason", "completes_when", "created_at", "completed_at", "total",
            "done", "failed", "counts", "failed_runs",
        ]  # fmt: skip
        read_only_fields = fields

    @property
    def _progress(self) -> Progress:
        progress: Progress = self.context["progress"]
        return progress

    def get_done(self, batch: Batch) -> int:
        return self._progress.done

    def get_failed(self, batch: Batch) -> int:
        return self._progress.failed

    def get_counts(self, batch: Batch) -> dict[str, int]:
        return self._progress.counts

    @extend_schema_field(FailedRunSerializer(many=True))
    def get_failed_runs(self, batch: Batch) -> Any:
        return FailedRunSerializer(self._progress.failed_runs, many=True).data


class BatchCancelledSerializer(serializers.Serializer[Any]):
    """What cancelling a batch did."""

    cancelled = serializers.IntegerField(help_text="Runs that had not ended.")
