from __future__ import annotations

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0003_states_and_preferences"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="email",
            name="emptied_at",
            field=models.DateTimeField(
                help_text="When what it says was deleted, since it is kept for a time only.", null=True
            ),
        ),
        migrations.AddField(
            model_name="email",
            name="unanswered",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="How often the mail server had the whole mail and did not say whether it takes it.",
            ),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(
                condition=models.Q(("emptied_at", None), models.Q(("state", "requested"), _negated=True)),
                fields=["created_at"],
                name="notifications_email_kept",
            ),
        ),
    ]
