from __future__ import annotations

from django.db import models


class Note(models.Model):
    """One row is the effect of one task, ours or the peer's."""

    batch = models.TextField(db_index=True)
    number = models.IntegerField()
    #: Seconds from the request to the first line of the handler.
    waited = models.FloatField()
    at = models.DateTimeField(db_default=models.Func(function="clock_timestamp"))

    def __str__(self) -> str:
        return f"{self.batch} {self.number}"


class Signal(models.Model):
    """One row is one signal that a server without the product has taken."""

    body = models.JSONField()
    at = models.DateTimeField(db_default=models.Func(function="clock_timestamp"))

    def __str__(self) -> str:
        return str(self.pk)


class PlainEntry(models.Model):
    """One row is one deed in a table like the audit's, without a chain."""

    sequence = models.BigAutoField(primary_key=True)
    id = models.UUIDField()
    encoding = models.SmallIntegerField(default=1)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    actor = models.TextField()
    action = models.TextField()
    object_type = models.TextField()
    object_id = models.TextField()
    account = models.TextField(default="")
    outcome = models.TextField(default="succeeded")
    address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField()
    request_id = models.TextField()
    correlation_id = models.TextField(default="")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    detail = models.JSONField(null=True)
    key_id = models.TextField(default="")
    previous_hash = models.BinaryField(default=bytes(32))
    hash = models.BinaryField(default=bytes(32))

    class Meta:
        # With the columns and indexes of the audit's table.
        managed = False
        db_table = "benchmark_plain_entry"

    def __str__(self) -> str:
        return f"{self.sequence} {self.action}"
