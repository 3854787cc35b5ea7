"""The state of every run: a projection of its events."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Left
from django.db.models.lookups import Exact, In, StartsWith

from apps.core.ids import uuid7
from apps.tasks import states
from apps.tasks.states import State

#: The state, for the indexes that the relay and claims must find their runs by. A statement that gives the
#: state in this form can use these and no others, and the server has no opinion on how many runs that is true
#: of. Its opinions are of when it last looked, and nothing may have waited then: it took to reading
#: all that waits, for every run.
_STATE = Left("state", 16)
_SCHEDULED = Q(Exact(_STATE, State.SCHEDULED.value))
_BUSY = Q(In(_STATE, [State.QUEUED.value, State.RUNNING.value]))
_UNGATED = Q(gate="")
#: What runs fulfil that a user asked for, in the words of their index.
BY_USERS = Q(StartsWith(KeyTextTransform("actor", "meta"), "user:"))


class TaskRun(models.Model):
    """One row is one requested execution of a task, through all of its attempts.

    The stream ``task:<id>`` explains how it came to be as it is. Rows are written by the SQL of this
    app in the statement that records the event, never through this model.
    """

    State = states.State

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    task = models.TextField(help_text="The registered name of the task.")
    queue = models.TextField(help_text="The logical queue, without prefix.")
    state = models.TextField(choices=states.State)
    version = models.IntegerField(help_text="The version of the last event of the stream.")
    args = models.JSONField(default=list)
    kwargs = models.JSONField(default=dict)
    priority = models.SmallIntegerField(default=0, help_text="Higher is published first.")
    group_key = models.TextField(default="", blank=True, help_text="The SQS message group.")
    unique_key = models.TextField(null=True, blank=True)  # noqa: DJ001 (null: not unique)
    unique_while_active = models.BooleanField(
        default=False, help_text="No other run may have the unique key until this one has ended."
    )
    seq = models.BigIntegerField(default=0, help_text="The order of requests.")
    args_version = models.SmallIntegerField(default=1, help_text="The version of the handler's signature.")
    backoff = models.JSONField(null=True, help_text="base, factor, maximum; null: the task's own.")
    expires_at = models.DateTimeField(null=True, help_text="No attempt starts from then on.")
    order_key = models.TextField(
        default="", blank=True, help_text="Runs of one order key start one at a time, in order of request."
    )
    concurrency_key = models.TextField(default="", blank=True)
    concurrency_limit = models.IntegerField(default=0, help_text="Of runs of the key at a time.")
    rate_key = models.TextField(default="", blank=True)
    rate_limit = models.IntegerField(default=0, help_text="Of costs of starts of the key in a period.")
    rate_period = models.FloatField(default=0, help_text="Seconds.")
    rate_cost = models.IntegerField(default=0, help_text="What a start of this run costs.")
    gate = models.TextField(
        default="", blank=True, help_text="The first of these keys. With one, a run is published as it opens."
    )
    batch_id = models.UUIDField(null=True, blank=True)
    batch_index = models.IntegerField(null=True)
    continuation = models.JSONField(null=True, help_text="What follows the run's end: Celery signatures.")
    attempt = models.IntegerField(default=0, help_text="Attempts started since the request or redrive.")
    max_attempts = models.IntegerField()
    fence = models.BigIntegerField(default=0, help_text="Counts claims; only the last claimant may finish.")
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="Not published before.")
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.TextField(default="", blank=True, help_text="The last claimant.")
    cancel_requested = models.BooleanField(default=False)
    result = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    repeatable = models.BooleanField(
        db_default=True, help_text="Whether another attempt may follow one whose worker died."
    )
    needs_review = models.BooleanField(
        db_default=False, help_text="Dead because it must not be repeated unseen: redrive it after a look."
    )
    error = models.JSONField(null=True, help_text="Of the last failed attempt: type, message, trace.")
    meta = models.JSONField(default=dict, help_text="The context of the request.")
    # Below: not events, but the upkeep of a run that is under way.
    lease_until = models.DateTimeField(null=True, help_text="The claim holds until then unless renewed.")
    progress = models.JSONField(null=True, help_text="done, total, message; from the handler.")
    dead_letter_due = models.BooleanField(default=False, help_text="Still to be sent to the SQS DLQ.")
    alert_due = models.BooleanField(default=False, help_text="Operators were not told yet that it is dead.")

    class Meta:
        db_table = "tasks_taskrun"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="tasks_taskrun_state", condition=Q(state__in=states.State.values)),
            models.CheckConstraint(name="tasks_taskrun_attempts", condition=Q(max_attempts__gte=1)),
            models.UniqueConstraint(
                name="tasks_taskrun_unique_key",
                fields=["unique_key"],
                condition=Q(state__in=states.ACTIVE, unique_while_active=True),
            ),
            models.CheckConstraint(
                name="tasks_taskrun_concurrency_limit",
                condition=Q(concurrency_key="") | Q(concurrency_limit__gte=1),
            ),
            models.CheckConstraint(
                name="tasks_taskrun_rate_limit",
                condition=Q(rate_key="")
                | Q(rate_limit__gte=models.F("rate_cost"), rate_cost__gte=1, rate_period__gt=0),
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "-priority", "due_at"],
                name="tasks_taskrun_due",
                condition=_SCHEDULED & _UNGATED,
            ),
            models.Index(
                fields=["queue", "gate", "-priority", "seq"],
                name="tasks_taskrun_gated",
                condition=_SCHEDULED & ~_UNGATED,
            ),
            models.Index(
                fields=["due_at"], name="tasks_taskrun_next", condition=Q(state="scheduled") & _UNGATED
            ),
            models.Index(
                fields=["due_at"], name="tasks_taskrun_next_gated", condition=Q(state="scheduled") & ~_UNGATED
            ),
            models.Index(
                fields=["order_key", "seq"],
                name="tasks_taskrun_order",
                condition=Q(In(_STATE, [state.value for state in states.ACTIVE])) & ~Q(order_key=""),
            ),
            models.Index(
                fields=["order_key"], name="tasks_taskrun_order_busy", condition=_BUSY & ~Q(order_key="")
            ),
            models.Index(
                fields=["concurrency_key"],
                name="tasks_taskrun_concurrency",
                condition=_BUSY & ~Q(concurrency_key=""),
            ),
            models.Index(
                fields=["rate_key"],
                name="tasks_taskrun_rate",
                condition=Q(Exact(_STATE, State.QUEUED.value)) & ~Q(rate_key=""),
            ),
            models.Index(
                fields=["expires_at"],
                name="tasks_taskrun_expires",
                condition=Q(
                    state__in=(states.State.SCHEDULED, states.State.QUEUED), expires_at__isnull=False
                ),
            ),
            models.Index(
                fields=["unique_key", "seq"],
                # Also finds how keys begin, whatever the collation.
                opclasses=["text_pattern_ops", "int8_ops"],
                name="tasks_taskrun_unique_lookup",
                condition=Q(unique_key__isnull=False),
            ),
            models.Index(
                fields=["batch_id", "state"],
                name="tasks_taskrun_batch",
                condition=Q(batch_id__isnull=False),
            ),
            models.Index(fields=["id"], name="tasks_taskrun_alert", condition=Q(alert_due=True)),
            models.Index(fields=["-id"], name="tasks_taskrun_review", condition=Q(needs_review=True)),
            models.Index(
                fields=["queue", "published_at"], name="tasks_taskrun_queued", condition=Q(state="queued")
            ),
            models.Index(fields=["lease_until"], name="tasks_taskrun_leased", condition=Q(state="running")),
            models.Index(fields=["id"], name="tasks_taskrun_dead_letter", condition=Q(dead_letter_due=True)),
            models.Index(fields=["state", "-id"], name="tasks_taskrun_state_id"),
            # What died is counted by these again and again, and there may be much of it.
            models.Index(fields=["queue", "task"], name="tasks_taskrun_dead_kind", condition=Q(state="dead")),
            models.Index(fields=["task", "-id"], name="tasks_taskrun_task_id"),
            # For searching. Rows without the key have no entry, so they pay nothing.
            models.Index(
                KeyTextTransform("correlation_id", "meta"),
                name="tasks_taskrun_correlation",
                condition=Q(meta__has_key="correlation_id"),
            ),
            # What users asked for; most runs have other causes.
            models.Index(
                KeyTextTransform("actor", "meta"),
                models.F("id").desc(),
                name="tasks_taskrun_actor",
                condition=BY_USERS,
            ),
            models.Index(
                KeyTextTransform("type", "error"),
                models.F("id").desc(),
                name="tasks_taskrun_error_type",
                condition=Q(error__isnull=False),
            ),
            models.Index(
                fields=["-finished_at"],
                include=["queue", "task"],
                name="tasks_taskrun_died",
                condition=Q(state=states.State.DEAD),
            ),
            models.Index(
                fields=["due_at"],
                name="tasks_taskrun_again",
                condition=Q(state=states.State.SCHEDULED, error__isnull=False),
            ),
            models.Index(
                fields=["group_key"],
                opclasses=["text_pattern_ops"],
                name="tasks_taskrun_group",
                condition=~Q(group_key=""),
            ),
            # Of times, which rows are roughly in the order of: next to nothing to keep up.
            BrinIndex(fields=["requested_at", "finished_at"], name="tasks_taskrun_times", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @property
    def stream(self) -> str:
        """The event stream of this run."""
        return f"task:{self.id}"
