from __future__ import annotations

from django.db import migrations, models

from apps.core.resources import sql


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.RunSQL(
            sql("apps.events", "0001_schema.sql"),
            "DROP TABLE events_event; DROP FUNCTION events_event_guard()",
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("stream", models.TextField()),
                ("version", models.IntegerField()),
                ("type", models.TextField()),
                ("schema_version", models.SmallIntegerField()),
                ("data", models.JSONField()),
                ("meta", models.JSONField()),
                ("recorded_at", models.DateTimeField()),
            ],
            options={"managed": False, "db_table": "events_event", "ordering": ["position"]},
        ),
        migrations.CreateModel(
            name="Cursor",
            fields=[
                ("follower", models.TextField(primary_key=True, serialize=False)),
                ("xid", models.DecimalField(max_digits=20, decimal_places=0, default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={"db_table": "events_cursor"},
        ),
    ]
