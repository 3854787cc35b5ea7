"""Answers that are given again to whoever repeats a request."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.core.crypto import SealedColumn
from apps.core.ids import uuid7


class KeptAnswer(models.Model):
    """One request that came with an ``Idempotency-Key``, and what it was answered.

    The row is there from the moment the request begins to be answered, and is seen by others once what the
    request did is committed, with the answer: both or neither.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    #: Who sent the key: ``user:<id>``, or ``anonymous``. Keys of different callers have nothing to do with
    #: each other.
    principal = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    #: Method and path with its query.
    address = models.TextField()
    #: SHA-256.
    body_hash = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    #: What was answered: in `sealed_body` where that is secret.
    body = models.TextField(blank=True, default="")
    sealed_body = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="core_keptanswer_key")]
        indexes = [models.Index(fields=["created_at"], name="core_keptanswer_created")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.address} of {self.principal}"


def seal_context(answer: KeptAnswer) -> str:
    """What a sealed body is bound to."""
    return f"core.keptanswer:{answer.pk}:body"


#: For ``manage.py encryption_rotate``.
SEALED_COLUMN = SealedColumn(model=KeptAnswer, column="sealed_body", context=seal_context)
