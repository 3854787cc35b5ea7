from __future__ import annotations

from django.db import migrations

from apps.core.resources import sql


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]
    operations = [
        migrations.RunSQL(sql("apps.events", "0002_append.sql"), "DROP FUNCTION events_append(jsonb, jsonb)"),
    ]
