"""What the API of identity takes: bodies and query parameters."""

from __future__ import annotations

from rest_framework import serializers

from apps.core.paging import PageQuerySerializer
from apps.core.scopes import SCOPES
from apps.core.serializers import StrictSerializer
from apps.identity.keys import LONGEST_OVERLAP
from apps.identity.models import ApiKey

_LONGEST_PASSWORD = 1024
_LIFE = "For how many days it is good: 90 unless told, and at most 365 (API_KEYS_LONGEST_DAYS)."


class LoginSerializer(StrictSerializer):
    """The body of ``POST /auth/login``, where the password does not come by HTTP Basic."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=_LONGEST_PASSWORD, trim_whitespace=False)


class PasswordSerializer(StrictSerializer):
    """The body of ``POST /auth/password``."""

    old_password = serializers.CharField(max_length=_LONGEST_PASSWORD, trim_whitespace=False)
    new_password = serializers.CharField(max_length=_LONGEST_PASSWORD, trim_whitespace=False)
    revoke_keys = serializers.BooleanField(default=False, help_text="End your API keys, too.")


class KeyChangeSerializer(StrictSerializer):
    """The body of ``PATCH /auth/keys/<id>``: what is left out stays."""

    name = serializers.CharField(max_length=64, required=False)
    networks = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        help_text=(
            "Addresses and networks that the key is taken from, as `203.0.113.0/24`. Empty: from anywhere."
        ),
    )


class KeyCreateSerializer(KeyChangeSerializer):
    """The body of ``POST /auth/keys``."""

    name = serializers.CharField(max_length=64)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES),
        allow_empty=False,
        help_text="What the key may do of what you may. `write` includes `read`.",
    )
    expires_in_days = serializers.IntegerField(min_value=1, required=False, help_text=_LIFE)


class KeyRotateSerializer(StrictSerializer):
    """The body of ``POST /auth/keys/<id>/rotate``."""

    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=int(LONGEST_OVERLAP.total_seconds()),
        default=0,
        help_text="For so long the token before is good beside the new one.",
    )
    expires_in_days = serializers.IntegerField(min_value=1, required=False, help_text=_LIFE)


class KeyQuerySerializer(PageQuerySerializer):
    """The query parameters of ``GET /auth/keys``."""

    kind = serializers.ChoiceField(choices=ApiKey.Kind.choices, required=False)
    active = serializers.BooleanField(
        required=False, help_text="Only those that are good now, or only those that are not."
    )
