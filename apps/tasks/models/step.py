"""What a run has done outside of the database."""

from __future__ import annotations

from django.db import models


class Step(models.Model):
    """One row is one named step of a run: begun, and once it has happened finished with its result.

    Written on a connection of its own, so that it outlives the attempt that did it. A step that was begun
    and is not finished may have happened or not.
    """

    pk = models.CompositePrimaryKey("run_id", "name")
    run_id = models.UUIDField()
    name = models.TextField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True)

    class Meta:
        db_table = "tasks_step"
        ordering = ["started_at"]

    def __str__(self) -> str:
        return f"{self.name} of {self.run_id}"
