from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0002_alerts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Preference",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.TextField()),
                ("enabled", models.BooleanField()),
                (
                    "source",
                    models.TextField(
                        choices=[
                            ("api", "API: by a request of the user"),
                            ("link", "Link: by the link in a mail"),
                            ("admin", "Admin: by an operator"),
                        ]
                    ),
                ),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "db_table": "notifications_preference",
                "ordering": ["user", "kind"],
            },
        ),
        migrations.CreateModel(
            name="SuppressedAddress",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("address", models.TextField(help_text="In lower case.")),
                ("reason", models.TextField()),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("lifted_at", models.DateTimeField(null=True)),
                ("lifted_by", models.TextField(default="", help_text="The actor, as events name them.")),
            ],
            options={
                "verbose_name_plural": "suppressed addresses",
                "db_table": "notifications_suppressed_address",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Throttle",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "recipient",
                        "kind",
                        "key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("recipient", models.TextField()),
                ("kind", models.TextField()),
                ("key", models.TextField()),
                ("email_id", models.UUIDField()),
                ("opened_at", models.DateTimeField()),
                ("held_back", models.PositiveIntegerField()),
                ("told", models.PositiveIntegerField()),
            ],
            options={
                "db_table": "notifications_throttle",
            },
        ),
        migrations.AddField(
            model_name="email",
            name="changed_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), help_text="When it came into its state."
            ),
        ),
        migrations.AddField(
            model_name="email",
            name="context",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="email",
            name="held_back",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="email",
            name="html",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="email",
            name="provider_id",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="email",
            name="reason",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="email",
            name="state",
            field=models.TextField(
                choices=[
                    ("requested", "Requested: to be sent, or to be tried again"),
                    ("sent", "Sent: the mail server has taken it"),
                    ("refused", "Refused: for good, by the mail server or because it cannot be written"),
                    ("bounced", "Bounced: taken, and reported as undeliverable afterwards"),
                    ("suppressed", "Suppressed: not sent, because it was turned off or its address bounces"),
                    ("failed", "Failed: given up, since no attempt has succeeded or its run was cancelled"),
                ],
                default="requested",
            ),
        ),
        # Those that were given up are found out by `emails_settle`.
        migrations.RunSQL(
            "UPDATE notifications_email SET state = 'sent', changed_at = sent_at WHERE sent_at IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            model_name="email",
            name="user",
            field=models.ForeignKey(
                help_text="Whom it is for; null for operators, who are told by their addresses.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="email",
            name="kind",
            field=models.TextField(help_text="A registered kind; its templates have this name."),
        ),
        migrations.AlterField(
            model_name="email",
            name="task_run",
            field=models.UUIDField(
                help_text="The run that sends it; null: it was not to be sent.", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(fields=["user", "-id"], name="notifications_email_user"),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(fields=["task_run"], name="notifications_email_run"),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(
                condition=models.Q(("provider_id", ""), _negated=True),
                fields=["provider_id"],
                name="notifications_email_provider",
            ),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(
                condition=models.Q(("state", "requested")),
                fields=["created_at"],
                name="notifications_email_unsent",
            ),
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(
                fields=["created_at"], include=("kind", "state"), name="notifications_email_recent"
            ),
        ),
        migrations.AddConstraint(
            model_name="email",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["requested", "sent", "refused", "bounced", "suppressed", "failed"])
                ),
                name="notifications_email_state",
            ),
        ),
        migrations.AddField(
            model_name="preference",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="suppressedaddress",
            name="email",
            field=models.ForeignKey(
                help_text="The mail that came back, if known.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="notifications.email",
            ),
        ),
        migrations.AddConstraint(
            model_name="preference",
            constraint=models.UniqueConstraint(fields=("user", "kind"), name="notifications_preference_once"),
        ),
        migrations.AddConstraint(
            model_name="preference",
            constraint=models.CheckConstraint(
                condition=models.Q(("source__in", ["api", "link", "admin"])),
                name="notifications_preference_source",
            ),
        ),
        migrations.AddConstraint(
            model_name="suppressedaddress",
            constraint=models.UniqueConstraint(
                condition=models.Q(("lifted_at", None)),
                fields=("address",),
                name="notifications_suppressed_once",
            ),
        ),
    ]
