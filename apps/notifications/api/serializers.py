"""E-mails, preferences and bounces as JSON."""

from __future__ import annotations

from typing import Any

from django.core.validators import validate_email
from rest_framework import serializers

from apps.core.paging import PageQuerySerializer
from apps.core.serializers import StrictSerializer
from apps.notifications.kinds import user_kinds
from apps.notifications.models import Email, SuppressedAddress
from apps.notifications.states import EmailState

#: Characters of a Message-ID and of an address.
_LONGEST = 998


class EmailSerializer(serializers.ModelSerializer[Email]):
    """A mail, without what is in it."""

    class Meta:
        model = Email
        fields = [
            "id", "kind", "recipient", "subject", "about", "state", "reason", "held_back", "created_at",
            "changed_at", "sent_at",
        ]  # fmt: skip
        read_only_fields = fields


class EmailQuerySerializer(PageQuerySerializer):
    """Which mails."""

    state = serializers.ChoiceField(choices=EmailState.choices, required=False)
    kind = serializers.CharField(required=False, max_length=100)


class PreferenceSerializer(serializers.Serializer[Any]):
    """One kind of mail, and whether its user gets it."""

    kind = serializers.CharField(source="kind.name")
    label = serializers.CharField(source="kind.label")  # type: ignore[assignment]
    description = serializers.CharField(source="kind.description")
    enabled = serializers.BooleanField()
    changeable = serializers.BooleanField(source="kind.changeable", help_text="Whether it may be turned off.")


class PreferencesSerializer(StrictSerializer):
    """Kinds, each with whether it is wanted. What is left out stays as it is."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            kind.name: serializers.BooleanField(required=False, help_text=kind.description)
            for kind in user_kinds()
        }


class BounceReportSerializer(StrictSerializer):
    """A mail that came back."""

    message_id = serializers.CharField(
        required=False, max_length=_LONGEST, help_text="Of the mail; or what the provider calls it."
    )
    recipient = serializers.CharField(
        required=False,
        max_length=254,
        validators=[validate_email],
        help_text="Enough where the mail is not known: then only the address is suppressed.",
    )
    permanent = serializers.BooleanField(
        help_text="Whether no mail will reach the address: then nothing is sent to it any more."
    )
    reason = serializers.CharField(max_length=4000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "message_id" not in attrs and "recipient" not in attrs:
            raise serializers.ValidationError("Needs a message_id or a recipient.")
        return attrs


class BounceSerializer(serializers.Serializer[Any]):
    """What a report came to."""

    email = serializers.UUIDField(source="email.pk", default=None, help_text="The mail; null: not known.")
    recipient = serializers.CharField()
    reason = serializers.CharField()
    suppressed = serializers.BooleanField(help_text="Whether nothing is sent to the address any more.")


class SuppressionQuerySerializer(PageQuerySerializer):
    """Which suppressed addresses."""

    address = serializers.CharField(required=False, max_length=254)


class SuppressionSerializer(serializers.ModelSerializer[SuppressedAddress]):
    """An address to which nothing is sent."""

    class Meta:
        model = SuppressedAddress
        fields = ["id", "address", "reason", "email", "created_at"]
        read_only_fields = fields
