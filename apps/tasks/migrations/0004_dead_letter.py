from __future__ import annotations

from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0003_process"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("message_id", models.TextField(help_text="SQS's own id of the message.")),
                (
                    "queue",
                    models.TextField(
                        help_text="The logical queue that it belongs to, not the dead-letter queue."
                    ),
                ),
                (
                    "run_id",
                    models.UUIDField(help_text="The run that it is about; null for a stranger.", null=True),
                ),
                ("task", models.TextField(blank=True, default="", help_text="The task that it names.")),
                ("body", models.TextField(blank=True, default="", help_text="Its beginning.")),
                ("reason", models.TextField(help_text="Why it is there.")),
                (
                    "receives",
                    models.IntegerField(help_text="How often it was received, looks at it included."),
                ),
                ("sent_at", models.DateTimeField(help_text="By SQS's clock.", null=True)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                (
                    "discard",
                    models.BooleanField(default=False, help_text="To be deleted when it is next received."),
                ),
                (
                    "gone_at",
                    models.DateTimeField(help_text="It was deleted, or is not there any more.", null=True),
                ),
            ],
            options={
                "db_table": "tasks_deadletter",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("gone_at", None)),
                        fields=["queue"],
                        name="tasks_deadletter_present",
                    ),
                    models.Index(fields=["run_id"], name="tasks_deadletter_run"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("queue", "message_id"), name="tasks_deadletter_message")
                ],
            },
        ),
    ]
