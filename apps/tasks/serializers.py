"""Runs, their history and operations on them as JSON. Secrets are masked."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.paging import PageQuerySerializer
from apps.core.redaction import redact
from apps.core.serializers import MomentField, StrictSerializer
from apps.tasks import selectors
from apps.tasks.batches import Progress
from apps.tasks.filters import RunFilter
from apps.tasks.models import Batch, BulkOperation, TaskRun
from apps.tasks.states import Operation, State

_SECRETIVE = ("args", "kwargs", "result", "error", "progress", "continuation")


class TaskRunSerializer(serializers.ModelSerializer[TaskRun]):
    """A run without its history."""

    class Meta:
        model = TaskRun
        fields = [
            "id", "task", "queue", "state", "attempt", "max_attempts", "requested_at", "due_at",
            "published_at", "started_at", "finished_at", "worker", "cancel_requested", "progress",
            "args", "kwargs", "result", "error", "batch_id", "continuation", "priority", "group_key",
            "unique_key", "expires_at", "meta", "needs_review",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: TaskRun) -> dict[str, Any]:
        shown = super().to_representation(instance)
        return {key: redact(value) if key in _SECRETIVE else value for key, value in shown.items()}


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

    @extend_schema_field(TimelineEntrySerializer(many=True))
    def get_events(self, run: TaskRun) -> list[dict[str, Any]]:
        shown = TimelineEntrySerializer()
        return [shown.to_representation(entry) for entry in selectors.timeline(run.pk)]


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
class ValuesField(serializers.Field[tuple[str, ...], Any, list[str], Any]):
    """Several values, any of which will do: separated by commas, or a list."""

    default_error_messages = {
        "malformed": "Expected values separated by commas, or a list of them.",
        "unknown": "{value} is not one of {known}.",
    }

    def __init__(self, *, known: list[str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._known = known

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        if isinstance(data, str):
            data = [value.strip() for value in data.split(",")]
        if not isinstance(data, list) or not all(isinstance(value, str) for value in data):
            self.fail("malformed")
        values = tuple(value for value in data if value)
        for value in values:
            if self._known is not None and value not in self._known:
                self.fail("unknown", value=value, known=", ".join(self._known))
        return values

    def to_representation(self, value: tuple[str, ...]) -> list[str]:
        return list(value)


class IdsField(ValuesField):
    """Several ids."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return tuple(uuid.UUID(value) for value in super().to_internal_value(data))
        except ValueError:
            self.fail("malformed")


class RunFilterSerializer(StrictSerializer):
    """Which runs are meant; all conditions must hold."""

    #: Parameter -> the condition of `RunFilter` that it is.
    _CONDITIONS = {
        "state": "states",
        "task": "tasks",
        "queue": "queues",
        "worker": "workers",
        "error_type": "error_types",
        "error": "error_text",
        "id": "ids",
        "q": "search",
    }

    state = ValuesField(
        required=False,
        known=State.values,
        help_text=f"Any of {', '.join(State.values)}; separated by commas.",
    )
    task = ValuesField(required=False, help_text="Names of tasks.")
    queue = ValuesField(required=False, help_text="Logical queues.")
    worker = ValuesField(required=False, help_text="Last workers.")
    error_type = ValuesField(required=False, help_text="Types of the last error, as `ValueError`.")
    error = serializers.CharField(required=False, help_text="Part of the last error's message.")
    group_key = serializers.CharField(required=False, help_text="How the group key begins.")
    unique_key = serializers.CharField(required=False, help_text="How the unique key begins.")
    correlation_id = serializers.CharField(required=False, help_text="The first cause.")
    batch_id = serializers.UUIDField(required=False, help_text="The batch that they belong to.")
    q = serializers.CharField(required=False, help_text="An id, a task's name, or how a key begins.")
    requested_since = MomentField(required=False)
    requested_until = MomentField(required=False, help_text="Before this moment.")
    finished_since = MomentField(required=False)
    finished_until = MomentField(required=False, help_text="Before this moment.")
    id = IdsField(required=False, help_text="Ids of runs.")
    needs_review = serializers.BooleanField(
        default=False, help_text="Only those that are dead because they must not be repeated unseen."
    )

    @classmethod
    def selection(cls, validated: Mapping[str, Any]) -> RunFilter:
        """The filter that validated data make."""
        return RunFilter(
            **{cls._CONDITIONS.get(name, name): value for name, value in validated.items() if value}
        )


class TaskRunQuerySerializer(RunFilterSerializer, PageQuerySerializer):
    """The query parameters of the list."""


class RescheduleSerializer(StrictSerializer):
    """When a run is to be due."""

    run_at = MomentField(help_text="Not before this moment.")


class BulkRequestSerializer(StrictSerializer):
    """An operation on all runs that a filter selects."""

    operation = serializers.ChoiceField(choices=Operation.choices)
    filter = RunFilterSerializer(
        help_text="With neither `state` nor `id`: of the runs to which it can be done."
    )
    run_at = MomentField(required=False, help_text="When rescheduled runs are to be due.")
    dry_run = serializers.BooleanField(default=False, help_text="Only count.")
    expected = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="What a dry run counted: it is done to no more runs than this.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("run_at" in attrs) is not (attrs["operation"] == Operation.RESCHEDULE) and not attrs["dry_run"]:
            raise serializers.ValidationError({"run_at": "Belongs to reschedule, and only to it."})
        if "expected" not in attrs and not attrs["dry_run"]:
            raise serializers.ValidationError({"expected": "Needed unless dry_run is true."})
        return attrs


class BulkPreviewSerializer(serializers.Serializer[Any]):
    """What an operation would be done to."""

    operation = serializers.ChoiceField(choices=Operation.choices)
    count = serializers.IntegerField()
    by_state = serializers.DictField(child=serializers.IntegerField())
    sample = TaskRunSerializer(many=True, help_text="The newest of them.")


class BulkOperationSerializer(serializers.ModelSerializer[BulkOperation]):
    """An operation on many runs, and how far it is."""

    filter = serializers.JSONField(source="selection", help_text="Which runs were meant.")

    class Meta:
        model = BulkOperation
        fields = [
            "id", "operation", "filter", "run_at", "bound", "actor", "run_id", "created_at", "finished_at",
            "done", "refused", "reasons", "more",
        ]  # fmt: skip
        read_only_fields = fields


class FailedRunSerializer(serializers.ModelSerializer[TaskRun]):
    """A run of a batch that is dead or cancelled."""

    class Meta:
        model = TaskRun
        fields = ["id", "task", "batch_index", "state", "attempt", "finished_at", "error"]
        read_only_fields = fields

    def to_representation(self, instance: TaskRun) -> dict[str, Any]:
        shown = super().to_representation(instance)
        return {**shown, "error": redact(shown["error"])}


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
