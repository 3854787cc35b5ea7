from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Verification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "first",
                    models.BigIntegerField(help_text="The sequence of the first row that was looked at."),
                ),
                ("through", models.BigIntegerField(help_text="The head's sequence.")),
                ("hash", models.BinaryField(help_text="The head's hash.")),
                ("findings", models.BigIntegerField(help_text="How many things were wrong.")),
                ("shown", models.JSONField(default=list, help_text="The first of them: text.")),
                (
                    "accepted",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="Why verifying goes on behind what is wrong, as somebody has decided.",
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_verification", "ordering": ["-id"]},
        ),
    ]
