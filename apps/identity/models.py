"""Keys and login tokens of users, and where users sign in from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from knox.models import AbstractAuthToken, AuthTokenManager

from apps.core.ids import uuid7
from apps.core.redaction import KEY_PREFIX
from apps.identity import conf

#: Of a digest, in hex, and of the beginning of a token that rows are found by.
_DIGEST, _BEGINNING = 128, 25
_UNSET: Any = object()


class ApiKeyManager(AuthTokenManager):  # type: ignore[misc]
    """Makes rows with their tokens."""

    def create(
        self, user: Any, expiry: timedelta | None = _UNSET, prefix: str = KEY_PREFIX, **fields: Any
    ) -> tuple[ApiKey, str]:
        """A new row, and the token that it is of, which nobody can find out later.

        It is good for *expiry*: as long as a login unless told, and for ever where that is null.
        """
        life = conf.login_life() if expiry is _UNSET else expiry
        made: tuple[ApiKey, str] = super().create(user, life, prefix, **fields)
        return made


class ApiKey(AbstractAuthToken):  # type: ignore[misc]
    """One row is one key of a user, or one login: what a token is good for, until when and from where.

    Of the token only a digest (SHA-512) and its beginning are kept. After a rotation the one before stays
    good until a time. A revoked one is kept for the record until it is pruned.
    """

    class Kind(models.TextChoices):
        """What it came from."""

        LOGIN = "login", "login"
        KEY = "key", "API key"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=_DIGEST, unique=True, editable=False)
    #: Null where there was no rotation, or no overlap.
    previous_digest = models.CharField(max_length=_DIGEST, null=True, editable=False)  # noqa: DJ001
    previous_token_key = models.CharField(max_length=_BEGINNING, null=True, editable=False)  # noqa: DJ001
    previous_until = models.DateTimeField(null=True, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.LOGIN, editable=False)
    name = models.CharField(max_length=64, blank=True)
    #: What a key was granted (`apps.core.scopes`). Empty for a login, which may do all that its user may.
    scopes = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    #: Networks that it is taken from; empty: from anywhere.
    networks = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    #: To the minute.
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = ApiKeyManager()

    class Meta:
        db_table = "identity_apikey"
        ordering = ["-id"]
        verbose_name = "API key"
        verbose_name_plural = "API keys and logins"
        indexes = [
            models.Index(fields=["user", "-id"], name="identity_apikey_user"),
            models.Index(
                fields=["previous_token_key"],
                name="identity_apikey_previous",
                condition=Q(previous_token_key__isnull=False),
            ),
        ]
        constraints = [
            # A key without scopes would be one for everything.
            models.CheckConstraint(
                name="identity_apikey_scopes",
                condition=Q(kind="login", scopes=[]) | (Q(kind="key") & ~Q(scopes=[])),
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.kind} {self.hint}"

    @property
    def granted(self) -> frozenset[str] | None:
        """The scopes that it is limited to; null: to none."""
        return None if self.kind == self.Kind.LOGIN else frozenset(self.scopes)

    @property
    def hint(self) -> str:
        """How its token begins."""
        return f"{self.token_key[:8]}…"

    @property
    def state(self) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.is_over(timezone.now()) else "active"

    def is_over(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expiry is not None and self.expiry <= now


class KnownPlace(models.Model):
    """One row is a network that a user signed in from with the right password, and when last."""

    pk = models.CompositePrimaryKey("user_id", "network")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    #: As limits count addresses (`apps.core.addresses.bucket_of`).
    network = models.CharField(max_length=64)
    #: To the hour.
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "identity_knownplace"
        indexes = [models.Index(fields=["last_at"], name="identity_knownplace_last_at")]

    def __str__(self) -> str:
        return self.network
