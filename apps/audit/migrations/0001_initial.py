from __future__ import annotations

from django.db import migrations, models

from apps.core.resources import sql


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.RunSQL(
            sql("apps.audit", "0001_schema.sql"),
            "DROP TABLE audit_entry; DROP TABLE audit_head; DROP FUNCTION audit_guard()",
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("sequence", models.BigIntegerField(primary_key=True, serialize=False)),
                ("id", models.UUIDField()),
                ("encoding", models.SmallIntegerField()),
                ("occurred_at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                ("actor", models.TextField()),
                ("action", models.TextField()),
                ("object_type", models.TextField()),
                ("object_id", models.TextField()),
                ("account", models.TextField()),
                (
                    "outcome",
                    models.TextField(
                        choices=[
                            ("succeeded", "Succeeded: it was done"),
                            ("refused", "Refused: it was not allowed, or asked for in a way that cannot be"),
                            ("failed", "Failed: an error kept it from being done"),
                        ]
                    ),
                ),
                ("address", models.GenericIPAddressField(null=True)),
                ("user_agent", models.TextField()),
                ("request_id", models.TextField()),
                ("correlation_id", models.TextField()),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField(null=True)),
                ("detail", models.JSONField(null=True)),
                ("key_id", models.TextField()),
                ("previous_hash", models.BinaryField()),
                ("hash", models.BinaryField()),
            ],
            options={
                "managed": False,
                "db_table": "audit_entry",
                "ordering": ["-sequence"],
                "verbose_name_plural": "entries",
            },
        ),
    ]
