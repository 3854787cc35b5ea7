from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("backtests", "0004_sweep_data_version"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="sweep",
            name="data_version",
        ),
        migrations.AddField(
            model_name="sweep",
            name="data_fingerprint",
            field=models.TextField(
                default="", help_text="Of the bars that it is of; empty until they were first loaded."
            ),
        ),
    ]
