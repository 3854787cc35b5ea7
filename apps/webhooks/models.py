"""Endpoints, what was answered to them, and every request that came."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import HashIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.core.crypto import SealedColumn, register
from apps.core.ids import uuid7
from apps.orders.models import Account
from apps.webhooks.codes import Layer, Outcome

#: Seconds that a signal may be old.
SHORTEST_WINDOW, LONGEST_WINDOW = 60, 600


class Endpoint(models.Model):
    """One row is one address that signals of one account are sent to.

    Of its token and secret only hashes are kept. After a rotation the ones before stay valid until a time.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    #: The account's user.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    account = models.ForeignKey(Account, models.PROTECT, related_name="endpoints")
    name = models.CharField(max_length=64)
    enabled = models.BooleanField(default=True)
    #: SHA-256 in hex of the token in the address, and its last four characters.
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    token_hint = models.CharField(max_length=4, editable=False)
    previous_token_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001
    previous_token_until = models.DateTimeField(null=True, editable=False)
    #: The same of the secret that stands in the bodies.
    secret_hash = models.CharField(max_length=64, editable=False)
    secret_hint = models.CharField(max_length=4, editable=False)
    previous_secret_hash = models.CharField(max_length=64, blank=True, editable=False)
    previous_secret_until = models.DateTimeField(null=True, editable=False)
    #: What bodies are signed with, sealed (`apps.core.crypto`); empty: none was made.
    signing_secret = models.TextField(blank=True, editable=False)
    signing_hint = models.CharField(max_length=4, blank=True, editable=False)
    previous_signing_secret = models.TextField(blank=True, editable=False)
    previous_signing_until = models.DateTimeField(null=True, editable=False)
    #: Off: signals on paper need no secret. Those for real always do.
    require_secret = models.BooleanField(default=True)
    #: Networks and names of presets (`addresses.presets`) that signals are taken from; empty: anywhere.
    allowed_addresses = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    #: Seconds that a signal may be old.
    window_seconds = models.PositiveSmallIntegerField(
        default=300, validators=[MinValueValidator(SHORTEST_WINDOW), MaxValueValidator(LONGEST_WINDOW)]
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "webhooks_endpoint"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="webhooks_endpoint_name", fields=["user", "name"]),
            models.CheckConstraint(
                name="webhooks_endpoint_window",
                condition=Q(window_seconds__gte=SHORTEST_WINDOW, window_seconds__lte=LONGEST_WINDOW),
            ),
        ]

    def __str__(self) -> str:
        return self.name


def signing_context(endpoint_id: UUID) -> str:
    """What the signing secrets of an endpoint are sealed with, the present one and the one before."""
    return f"webhooks.endpoint:{endpoint_id}:signing_secret"


for _column in ("signing_secret", "previous_signing_secret"):
    register(SealedColumn(model=Endpoint, column=_column, context=lambda row: signing_context(row.pk)))


class Receipt(models.Model):
    """One row is one key of one endpoint, and the answer to the request that came with it first."""

    pk = models.CompositePrimaryKey("endpoint_id", "key")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="+", db_index=False)
    #: ``id:<the sender's>``, or ``sha256:<of the body>``.
    key = models.CharField(max_length=128)
    #: SHA-256 in hex of what the request said.
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    #: Null where there was nothing to act upon.
    order_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "webhooks_receipt"
        indexes = [models.Index(name="webhooks_receipt_created", fields=["created_at"])]

    def __str__(self) -> str:
        return self.key


class Delivery(models.Model):
    """One row is one request that arrived at an address of a webhook, whatever came of it."""

    id = models.UUIDField(primary_key=True, editable=False)
    #: Null where the token is nobody's.
    endpoint = models.ForeignKey(Endpoint, models.PROTECT, null=True, related_name="+", db_index=False)
    at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=256, blank=True)
    format = models.CharField(max_length=32)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    #: What refused it, and why (`codes.CODES`); both empty where nothing did. For what was recorded, the
    #: code says why there was nothing to act upon.
    layer = models.CharField(max_length=10, choices=Layer.choices, blank=True)
    code = models.CharField(max_length=32, blank=True)
    detail = models.TextField(blank=True)
    #: Of the answer.
    status = models.PositiveSmallIntegerField()
    signal = models.CharField(max_length=16, blank=True)
    symbol = models.CharField(max_length=64, blank=True)
    #: Null where that was not read.
    simulation = models.BooleanField(null=True)
    order_id = models.UUIDField(null=True)
    key = models.CharField(max_length=128, blank=True)
    #: What was read of the body, without its secrets; null where the token is nobody's.
    body = models.JSONField(null=True)
    #: SHA-256 in hex of the bytes of the body, and how many there are.
    body_digest = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    #: Until the answer was known, without the commit.
    milliseconds = models.FloatField()
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        db_table = "webhooks_delivery"
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(name="webhooks_delivery_endpoint", fields=["endpoint", "-id"]),
            models.Index(
                name="webhooks_delivery_order", fields=["order_id"], condition=Q(order_id__isnull=False)
            ),
            models.Index(name="webhooks_delivery_at", fields=["at"]),
            models.Index(
                name="webhooks_delivery_request", fields=["request_id"], condition=~Q(request_id="")
            ),
            HashIndex(name="webhooks_delivery_key", fields=["key"], condition=~Q(key="")),
            models.Index(name="webhooks_delivery_address", fields=["address"]),
            # Of one layer there are few among many.
            models.Index(
                name="webhooks_delivery_layer", fields=["endpoint", "layer", "-id"], condition=~Q(layer="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.at:%Y-%m-%d %H:%M:%S}"


class DeliveryCount(models.Model):
    """One row is how many deliveries of one format ended in one way, and how long their answers took.

    It outlives the deliveries.
    """

    pk = models.CompositePrimaryKey("format", "outcome", "layer", "code")
    format = models.CharField(max_length=32)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    layer = models.CharField(max_length=10, choices=Layer.choices, blank=True)
    code = models.CharField(max_length=32, blank=True)
    count = models.PositiveBigIntegerField()
    #: Sum of the durations, and how many there were up to each of `durations.BOUNDS`, and above.
    seconds = models.FloatField()
    histogram = ArrayField(models.BigIntegerField())

    class Meta:
        db_table = "webhooks_delivery_count"

    def __str__(self) -> str:
        return f"{self.outcome} {self.layer}: {self.count}"
