"""Entries as JSON, and what may be asked about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from apps.audit import actions
from apps.audit.entries import OUTCOMES
from apps.audit.models import Entry
from apps.core.paging import PageQuerySerializer, number
from apps.core.serializers import MomentField


class AuditEntrySerializer(serializers.ModelSerializer[Entry]):
    """Who did what to which object, when and from where, and how that ended."""

    label = serializers.SerializerMethodField(  # type: ignore[assignment]
        help_text="What people read of the action."
    )
    level = serializers.SerializerMethodField(help_text="`info`, `notice` or `warning`.")
    hash = serializers.SerializerMethodField(help_text="Of the row in the chain: hexadecimal.")
    object_type = serializers.CharField(help_text="As `orders.order`; empty for what is about no object.")
    address = serializers.CharField(allow_null=True, help_text="Where the request came from.")
    before = serializers.JSONField(
        allow_null=True, help_text="What was changed, as it was. Secrets are masked."
    )
    after = serializers.JSONField(allow_null=True, help_text="What was changed, as it is since.")
    detail = serializers.JSONField(allow_null=True, help_text="What else there is to say.")

    class Meta:
        model = Entry
        fields = [
            "sequence", "id", "occurred_at", "recorded_at", "actor", "action", "label", "level",
            "object_type", "object_id", "account", "outcome", "address", "user_agent", "request_id",
            "correlation_id", "before", "after", "detail", "hash",
        ]  # fmt: skip
        read_only_fields = fields

    def get_label(self, entry: Entry) -> str:
        return actions.label_of(entry.action)

    def get_level(self, entry: Entry) -> str:
        return actions.level_of(entry.action).value

    def get_hash(self, entry: Entry) -> str:
        return bytes(entry.hash).hex()


class AuditMineQuerySerializer(PageQuerySerializer):
    """Which of one's own entries are meant; all conditions must hold."""

    action = serializers.CharField(
        required=False, help_text="A dotted name, or the beginning of one: `login.*`."
    )
    object_type = serializers.CharField(required=False, help_text="As `orders.order`.")
    object_id = serializers.CharField(required=False)
    account = serializers.CharField(required=False, help_text="The trading account that it is about.")
    outcome = serializers.ChoiceField(required=False, choices=OUTCOMES)
    since = MomentField(required=False, help_text="Done then or later.")
    until = MomentField(required=False, help_text="Done before this moment.")

    def place(self, attrs: dict[str, Any]) -> tuple[Callable[[str], Any], ...]:
        """By the sequence of the chain."""
        return (number,)

    def validate_action(self, value: str) -> str:
        known = [action.name for action in actions.all_actions()]
        if value not in known and not (
            value.endswith(".*") and any(name.startswith(value[:-1]) for name in known)
        ):
            raise serializers.ValidationError(f"There is no such action. There are: {', '.join(known)}.")
        return value


class AuditQuerySerializer(AuditMineQuerySerializer):
    """Which entries are meant; all conditions must hold."""

    actor = serializers.CharField(required=False, help_text="As `user:7`, `task:<name>` or `cli:<name>`.")
    address = serializers.IPAddressField(required=False)
    request_id = serializers.CharField(
        required=False, help_text="A request, with all that followed from it later."
    )
