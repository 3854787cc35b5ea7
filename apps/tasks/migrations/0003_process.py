from __future__ import annotations

from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0002_core"),
    ]

    operations = [
        migrations.CreateModel(
            name="Process",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("worker", "Worker: executes runs"),
                            ("relay", "Relay: publishes runs"),
                            ("beat", "Beat: requests periodic runs"),
                        ]
                    ),
                ),
                (
                    "name",
                    models.TextField(help_text="As runs name their worker: node name and process number."),
                ),
                ("host", models.TextField()),
                ("pid", models.IntegerField()),
                ("version", models.TextField(help_text="Of the code that it runs.")),
                ("queues", models.JSONField(default=list, help_text="The logical queues that it serves.")),
                (
                    "concurrency",
                    models.IntegerField(default=0, help_text="How many runs it executes at a time."),
                ),
                ("started_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(help_text="Of its last report.")),
                ("ended_at", models.DateTimeField(help_text="Null: it runs, or has vanished.", null=True)),
                ("counts", models.JSONField(default=dict, help_text="What it has done since its start.")),
                ("facts", models.JSONField(default=dict, help_text="How things stood at its last report.")),
            ],
            options={
                "verbose_name_plural": "processes",
                "db_table": "tasks_process",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["seen_at"], name="tasks_process_seen")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["worker", "relay", "beat"])),
                        name="tasks_process_kind",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("worker", "Worker: executes runs"),
                            ("relay", "Relay: publishes runs"),
                            ("beat", "Beat: requests periodic runs"),
                        ]
                    ),
                ),
                ("name", models.TextField(help_text="What happened, such as requests.ReceiveMessage.")),
                ("at", models.DateTimeField(help_text="The beginning of the minute or day.")),
                ("count", models.BigIntegerField()),
            ],
            options={
                "db_table": "tasks_usagecount",
                "constraints": [
                    models.UniqueConstraint(fields=("at", "kind", "name"), name="tasks_usagecount_unique")
                ],
            },
        ),
    ]
