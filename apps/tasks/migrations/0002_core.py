from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE tasks_taskrun_seq", "DROP SEQUENCE tasks_taskrun_seq"),
        migrations.CreateModel(
            name="RateHit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.TextField()),
                ("at", models.DateTimeField()),
                ("cost", models.IntegerField()),
                ("expires_at", models.DateTimeField(help_text="From then on the hit counts no more.")),
            ],
            options={
                "db_table": "tasks_ratehit",
            },
        ),
        migrations.RemoveConstraint(
            model_name="taskrun",
            name="tasks_taskrun_unique_key",
        ),
        migrations.RemoveIndex(
            model_name="taskrun",
            name="tasks_taskrun_due",
        ),
        migrations.AddField(
            model_name="taskrun",
            name="alert_due",
            field=models.BooleanField(
                default=False, help_text="Operators were not told yet that it is dead."
            ),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="args_version",
            field=models.SmallIntegerField(default=1, help_text="The version of the handler's signature."),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="backoff",
            field=models.JSONField(help_text="base, factor, maximum; null: the task's own.", null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="batch_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="batch_index",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="concurrency_key",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="concurrency_limit",
            field=models.IntegerField(default=0, help_text="Of runs of the key at a time."),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="continuation",
            field=models.JSONField(help_text="What follows the run's end: Celery signatures.", null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="expires_at",
            field=models.DateTimeField(help_text="No attempt starts from then on.", null=True),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="gate",
            field=models.TextField(
                blank=True,
                default="",
                help_text="The first of these keys. With one, a run is published as it opens.",
            ),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="order_key",
            field=models.TextField(
                blank=True,
                default="",
                help_text="Runs of one order key start one at a time, in order of request.",
            ),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="rate_cost",
            field=models.IntegerField(default=0, help_text="What a start of this run costs."),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="rate_key",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="rate_limit",
            field=models.IntegerField(default=0, help_text="Of costs of starts of the key in a period."),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="rate_period",
            field=models.FloatField(default=0, help_text="Seconds."),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="seq",
            field=models.BigIntegerField(default=0, help_text="The order of requests."),
        ),
        migrations.AddField(
            model_name="taskrun",
            name="unique_while_active",
            field=models.BooleanField(
                default=False, help_text="No other run may have the unique key until this one has ended."
            ),
        ),
        migrations.RunSQL(
            "UPDATE tasks_taskrun SET unique_while_active = true WHERE unique_key IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("gate", ""), ("state", "scheduled")),
                fields=["queue", "-priority", "due_at"],
                name="tasks_taskrun_due",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("state", "scheduled"), models.Q(("gate", ""), _negated=True)),
                fields=["queue", "gate", "-priority", "seq"],
                name="tasks_taskrun_gated",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("state", "scheduled")), fields=["due_at"], name="tasks_taskrun_next"
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(
                    ("state__in", ("scheduled", "queued", "running")),
                    models.Q(("order_key", ""), _negated=True),
                ),
                fields=["order_key", "seq"],
                name="tasks_taskrun_order",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(
                    ("state__in", ("queued", "running")), models.Q(("concurrency_key", ""), _negated=True)
                ),
                fields=["concurrency_key", "state"],
                name="tasks_taskrun_concurrency",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("state", "queued"), models.Q(("rate_key", ""), _negated=True)),
                fields=["rate_key"],
                name="tasks_taskrun_rate",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("expires_at__isnull", False), ("state__in", ("scheduled", "queued"))),
                fields=["expires_at"],
                name="tasks_taskrun_expires",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("unique_key__isnull", False)),
                fields=["unique_key", "seq"],
                name="tasks_taskrun_unique_lookup",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("batch_id__isnull", False)),
                fields=["batch_id", "state"],
                name="tasks_taskrun_batch",
            ),
        ),
        migrations.AddIndex(
            model_name="taskrun",
            index=models.Index(
                condition=models.Q(("alert_due", True)), fields=["id"], name="tasks_taskrun_alert"
            ),
        ),
        migrations.AddConstraint(
            model_name="taskrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("state__in", ("scheduled", "queued", "running")), ("unique_while_active", True)
                ),
                fields=("unique_key",),
                name="tasks_taskrun_unique_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="taskrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("concurrency_key", ""), ("concurrency_limit__gte", 1), _connector="OR"),
                name="tasks_taskrun_concurrency_limit",
            ),
        ),
        migrations.AddConstraint(
            model_name="taskrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("rate_key", ""),
                    models.Q(
                        ("rate_cost__gte", 1),
                        ("rate_limit__gte", models.F("rate_cost")),
                        ("rate_period__gt", 0),
                    ),
                    _connector="OR",
                ),
                name="tasks_taskrun_rate_limit",
            ),
        ),
        migrations.AddIndex(
            model_name="ratehit",
            index=models.Index(fields=["key", "at"], include=("cost",), name="tasks_ratehit_key_at"),
        ),
        migrations.AddIndex(
            model_name="ratehit",
            index=models.Index(fields=["expires_at"], name="tasks_ratehit_expires"),
        ),
    ]
