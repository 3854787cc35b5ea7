from __future__ import annotations

from django.db import models


class Effect(models.Model):
    """One row is one effect of one handler. Nothing keeps a second one of the same name out."""

    name = models.TextField()
    attempt = models.IntegerField()

    def __str__(self) -> str:
        return self.name


class Start(models.Model):
    """One row is one handler having begun, committed at once."""

    name = models.TextField()
    pid = models.IntegerField()

    def __str__(self) -> str:
        return self.name


class Span(models.Model):
    """One row is the time that one handler took."""

    name = models.TextField()
    start = models.DateTimeField()
    end = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Record(models.Model):
    """One row is one entry that was written, under its id."""

    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    actor = models.TextField()

    def __str__(self) -> str:
        return self.name
