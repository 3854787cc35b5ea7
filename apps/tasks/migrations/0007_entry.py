from __future__ import annotations

import django.core.serializers.json
from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0006_batch"),
    ]

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("task", models.TextField(help_text="The registered name of the task.")),
                ("payload", models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ("requested_at", models.DateTimeField()),
                ("meta", models.JSONField(default=dict, help_text="The context in which it was put.")),
                ("run_id", models.UUIDField(blank=True, help_text="The run that is to write it.", null=True)),
            ],
            options={
                "verbose_name_plural": "entries",
                "db_table": "tasks_entry",
                "ordering": ["requested_at", "id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("run_id__isnull", True)),
                        fields=["task", "requested_at"],
                        name="tasks_entry_waiting",
                    ),
                    models.Index(
                        condition=models.Q(("run_id__isnull", False)),
                        fields=["run_id"],
                        name="tasks_entry_run",
                    ),
                ],
            },
        ),
    ]
