"""Workers over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.paging import PageQuerySerializer
from apps.core.serializers import StrictSerializer, utc
from apps.liveness import conf
from apps.liveness.models import WorkerSession
from apps.liveness.states import SessionState

#: More than the scripts in Redis can tell apart.
_TOKENS = 2**53
#: The last id that a user can have.
USERS = 2**31 - 1


class HeartbeatSerializer(StrictSerializer):
    """A beat, or without a token the start of a session."""

    token = serializers.IntegerField(
        required=False,
        help_text="Of the session that the worker holds. Without it, a session begins.",
        min_value=1,
        max_value=_TOKENS,
    )
    worker = serializers.CharField(
        required=False, max_length=200, help_text="At the start: what the worker calls itself."
    )
    user = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=USERS,
        help_text="Whose worker it is; for staff only. By default, the caller's.",
    )


class HeartbeatAnswerSerializer(serializers.Serializer[Any]):
    """What a worker has to know."""

    token = serializers.IntegerField(
        help_text="For the next beats, and for the header Worker-Token of writes."
    )
    session = serializers.UUIDField(required=False, help_text="At the start: where to see the session.")
    beat_every = serializers.FloatField(help_text="Seconds until the next beat.")
    orphan_after = serializers.FloatField(
        help_text="Seconds without an answered beat after which the worker has to stop by itself."
    )


def heartbeat_answer(token: int, **more: str) -> dict[str, Any]:
    """What a worker is answered."""
    return {
        "token": token,
        **more,
        "beat_every": conf.beat_every(),
        "orphan_after": conf.orphan_after(),
    }


class StopSerializer(StrictSerializer):
    """The end of a session, by its worker."""

    token = serializers.IntegerField(min_value=1, max_value=_TOKENS)
    reason = serializers.CharField(required=False, max_length=500, default="stopped")
    user = serializers.IntegerField(
        required=False, min_value=1, max_value=USERS, help_text="Whose worker; for staff only."
    )


class DeclareDeadSerializer(StrictSerializer):
    """Why a worker counts as dead."""

    reason = serializers.CharField(max_length=500)


class WorkerQuerySerializer(PageQuerySerializer):
    """Which sessions."""

    state = serializers.ChoiceField(choices=SessionState.choices, required=False)
    user = serializers.IntegerField(required=False, min_value=1, max_value=USERS)


class WorkerSerializer(serializers.ModelSerializer[WorkerSession]):
    """A session, and how it stands now."""

    user = serializers.IntegerField(source="user_id")
    condition = serializers.SerializerMethodField(
        help_text="alive, stale, orphaned or unmarked while it is active; else the state."
    )
    seen_at = serializers.SerializerMethodField(help_text="When the worker was heard of last.")

    class Meta:
        model = WorkerSession
        fields = [
            "id", "user", "worker", "token", "state", "condition", "reason", "started_at", "seen_at",
            "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_condition(self, session: WorkerSession) -> str:
        return str(self.context["standings"][session.pk].condition)

    @extend_schema_field(serializers.DateTimeField())
    def get_seen_at(self, session: WorkerSession) -> str:
        return utc(self.context["standings"][session.pk].seen_at)


class WorkerEventSerializer(serializers.Serializer[Any]):
    """One event of a session."""

    version = serializers.IntegerField()
    type = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    data = serializers.JSONField()  # type: ignore[assignment]
    meta = serializers.JSONField()


class WorkerDetailSerializer(WorkerSerializer):
    """A session with its history."""

    events = serializers.SerializerMethodField()

    class Meta(WorkerSerializer.Meta):
        fields = [*WorkerSerializer.Meta.fields, "events"]
        read_only_fields = fields

    @extend_schema_field(WorkerEventSerializer(many=True))
    def get_events(self, session: WorkerSession) -> list[dict[str, Any]]:
        from apps.liveness import selectors

        shown = WorkerEventSerializer()
        return [shown.to_representation(event) for event in selectors.timeline(session)]
