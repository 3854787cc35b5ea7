"""Entries of periodic tasks: what beat requests, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from apps.tasks.periodic.crontabs import ScheduleError
from apps.tasks.periodic.misfire import SHORTEST_GRACE, Misfire
from apps.tasks.periodic.schedules import SHORTEST, Crontab, Interval, Schedule


class Origin(models.TextChoices):
    """Where an entry is defined."""

    SETTINGS = "settings", "Settings: CELERY_BEAT_SCHEDULE; can only be switched on and off here"
    ADMIN = "admin", "Admin: made and edited here"


class PeriodicTask(models.Model):
    """One row is one entry: a task that is requested at the ticks of a schedule.

    Neither interval nor crontab: an entry of the settings whose schedule could not be understood.
    """

    name = models.TextField(unique=True, help_text="Part of the id of every run, so that ticks are unique.")
    origin = models.TextField(choices=Origin, default=Origin.ADMIN, editable=False)
    retired_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when the settings do not hold the entry any more."
    )
    task = models.TextField(help_text="The registered name of a durable task.")
    args = models.JSONField(default=list, blank=True, help_text="Positional arguments: a JSON list.")
    kwargs = models.JSONField(default=dict, blank=True, help_text="Named arguments: a JSON object.")
    queue = models.TextField(default="", blank=True, help_text="Empty: the task's own queue.")
    priority = models.SmallIntegerField(
        null=True, blank=True, help_text="Higher is published first. Empty: the task's own."
    )
    options = models.JSONField(
        default=dict, blank=True, help_text='More options of apply_async: a JSON object, {"max_attempts": 3}.'
    )
    interval = models.FloatField(
        null=True, blank=True, help_text="Seconds between two ticks, which count from 1970 in UTC."
    )
    crontab = models.TextField(
        default="",
        blank=True,
        help_text="Minute, hour, day of month, month, day of week: */5 8-17 * * mon-fri."
        " A day has to match all three of its fields.",
    )
    timezone = models.TextField(default="UTC", help_text="Of the crontab: Europe/Berlin.")
    enabled = models.BooleanField(
        default=True, help_text="Ticks while an entry is switched off are not missed: there are none."
    )
    misfire = models.TextField(
        choices=Misfire, default=Misfire.ONCE, help_text="What becomes of ticks while beat was down or slow."
    )
    misfire_grace = models.FloatField(
        null=True,
        blank=True,
        help_text="A tick that is late by fewer seconds is on time."
        " Empty: until the next tick, and at most 60 seconds.",
    )
    revision = models.IntegerField(default=1, editable=False, help_text="Counts changes of the definition.")
    # Below: where the entry stands; written by beat.
    counts_from = models.DateTimeField(editable=False, help_text="Ticks up to here are none of this entry's.")
    last_tick_at = models.DateTimeField(null=True, editable=False, help_text="The last tick dealt with.")
    last_run = models.UUIDField(null=True, editable=False, help_text="The run that was requested last.")
    next_tick_at = models.DateTimeField(null=True, editable=False)
    look_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When beat turns to it: at its next tick, or after an error.",
    )
    left_out = models.BigIntegerField(default=0, editable=False, help_text="Ticks that got no run so far.")
    last_error = models.TextField(default="", editable=False, help_text="Why no run can be requested.")
    last_error_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "tasks_periodictask"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="tasks_periodictask_origin", condition=Q(origin__in=Origin.values)),
            models.CheckConstraint(
                name="tasks_periodictask_misfire", condition=Q(misfire__in=Misfire.values)
            ),
            models.CheckConstraint(
                name="tasks_periodictask_one_schedule", condition=Q(interval__isnull=True) | Q(crontab="")
            ),
            models.CheckConstraint(
                name="tasks_periodictask_interval",
                condition=Q(interval__isnull=True) | Q(interval__gte=SHORTEST),
            ),
            models.CheckConstraint(
                name="tasks_periodictask_grace",
                condition=Q(misfire_grace__isnull=True) | Q(misfire_grace__gte=SHORTEST_GRACE),
            ),
        ]
        indexes = [
            models.Index(
                fields=["look_at"],
                name="tasks_periodictask_look",
                condition=Q(enabled=True, retired_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def schedule_text(self) -> str:
        """When it ticks, in words; empty without a schedule."""
        try:
            return str(self.schedule)
        except ScheduleError:
            return ""

    @property
    def schedule(self) -> Schedule:
        """When it ticks. Raises `ScheduleError`."""
        if self.interval is not None:
            return Interval(self.interval)
        if self.crontab:
            return Crontab(self.crontab, self.timezone)
        raise ScheduleError("the entry has no schedule")

    @property
    def since(self) -> datetime:
        """The ticks after this moment are still to be dealt with."""
        return max(self.counts_from, self.last_tick_at or self.counts_from)

    @property
    def call_options(self) -> dict[str, Any]:
        """The options of apply_async."""
        options: dict[str, Any] = {**self.options}
        if self.queue:
            options["queue"] = self.queue
        if self.priority is not None:
            options["priority"] = self.priority
        return options
