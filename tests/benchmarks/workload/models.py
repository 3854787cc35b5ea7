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
