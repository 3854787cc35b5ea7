"""Entries as JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.tasks.models import PeriodicTask
from apps.tasks.states import State


class LastRunSerializer(serializers.Serializer[Any]):
    """The run of an entry that was requested last, by a tick or by hand."""

    id = serializers.UUIDField(source="last_run")
    state = serializers.ChoiceField(
        source="last_run_state", choices=State.choices, allow_null=True, help_text="null: not kept any more."
    )
    requested_at = serializers.DateTimeField(source="last_run_at", allow_null=True)


class PeriodicTaskSerializer(serializers.ModelSerializer[PeriodicTask]):
    """An entry and where it stands."""

    schedule = serializers.CharField(source="schedule_text", read_only=True)
    last_run = serializers.SerializerMethodField()

    class Meta:
        model = PeriodicTask
        fields = [
            "name", "origin", "enabled", "retired_at", "task", "args", "kwargs", "queue", "priority",
            "options", "schedule", "interval", "crontab", "timezone", "misfire", "misfire_grace",
            "last_tick_at", "next_tick_at", "last_run", "left_out", "last_error", "last_error_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(LastRunSerializer(allow_null=True))
    def get_last_run(self, entry: PeriodicTask) -> dict[str, Any] | None:
        return None if entry.last_run is None else LastRunSerializer(entry).data
