"""Event rows and the places that followers have reached."""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """One row is one thing that happened to one stream. Rows are never changed or deleted.

    The table is made by SQL and belongs to the store; this model reads it.
    """

    position = models.BigAutoField(primary_key=True)
    stream = models.TextField()
    version = models.IntegerField()
    type = models.TextField()
    schema_version = models.SmallIntegerField()
    data = models.JSONField()
    meta = models.JSONField()
    recorded_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "events_event"
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.stream}@{self.version} {self.type}"


class Cursor(models.Model):
    """One row is how far one follower has read."""

    follower = models.TextField(primary_key=True)
    #: A PostgreSQL xid8, which no Django field type holds; 0 is before every event.
    xid = models.DecimalField(max_digits=20, decimal_places=0, default=0)
    position = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "events_cursor"

    def __str__(self) -> str:
        return f"{self.follower} at ({self.xid}, {self.position})"
