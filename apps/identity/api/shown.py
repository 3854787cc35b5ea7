"""What the API of identity gives."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from apps.identity.keys import Issued
from apps.identity.models import ApiKey


class UserSerializer(serializers.ModelSerializer[Any]):
    """A user, as they see themselves."""

    class Meta:
        model = get_user_model()
        fields = ["id", "username", "email", "is_staff", "is_superuser", "date_joined", "last_login"]
        read_only_fields = fields


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key or a login; of its token only how it begins."""

    hint = serializers.CharField(help_text="How the token begins.")
    state = serializers.ChoiceField(choices=["active", "expired", "revoked"])
    scopes = serializers.ListField(child=serializers.CharField())
    networks = serializers.ListField(child=serializers.CharField())
    url = serializers.SerializerMethodField()

    class Meta:
        model = ApiKey
        fields = [
            "id", "kind", "name", "hint", "state", "scopes", "networks", "created", "expiry",
            "previous_until", "last_used_at", "last_used_address", "revoked_at", "url",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.URLField())
    def get_url(self, key: ApiKey) -> str:
        return str(reverse("key-detail", kwargs={"key_id": key.pk}, request=self.context["request"]))


class IssuedKeySerializer(serializers.Serializer[Issued]):
    """A key and its token, which is shown only now."""

    key = KeySerializer()
    token = serializers.CharField()


class LoginAnswerSerializer(serializers.Serializer[Any]):
    """A login token, which is shown only now."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField()
    user = UserSerializer()


class CredentialSerializer(serializers.Serializer[Any]):
    """What a request came with."""

    kind = serializers.ChoiceField(choices=["login", "key", "session", "password"])
    id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField(allow_blank=True)
    scopes = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="Null: all that the user may."
    )
    expiry = serializers.DateTimeField(allow_null=True)


class MeSerializer(serializers.Serializer[Any]):
    """Who makes the request, and with what."""

    user = UserSerializer()
    permissions = serializers.ListField(child=serializers.CharField(), help_text="As `orders.change_order`.")
    credential = CredentialSerializer()


class EndedSerializer(serializers.Serializer[Any]):
    """How many logins, sessions and keys were ended."""

    ended = serializers.IntegerField()
