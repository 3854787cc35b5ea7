import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("orders", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DeliveryCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "format",
                        "outcome",
                        "layer",
                        "code",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("format", models.CharField(max_length=32)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("accepted", "Accepted: an order follows"),
                            ("recorded", "Recorded: valid, and nothing to act upon"),
                            ("duplicate", "Duplicate: came before, and got the answer of then"),
                            ("refused", "Refused: by a layer"),
                            (
                                "failed",
                                "Failed: could not be committed; the sender was asked to send it again",
                            ),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "layer",
                    models.CharField(
                        blank=True,
                        choices=[
                            (
                                "token",
                                "Token: whether the address is an endpoint's, which is on, with its account and user",
                            ),
                            (
                                "address",
                                "Address: whether the sender's address is one that the endpoint takes signals from",
                            ),
                            ("shape", "Shape: whether the body is what its format takes"),
                            (
                                "timestamp",
                                "Timestamp: whether the signal is as young as the endpoint's window",
                            ),
                            (
                                "secret",
                                "Secret: whether the sender knows the endpoint's secret, or signed with it",
                            ),
                            ("replay", "Replay: whether the same key came before"),
                            ("symbol", "Symbol: whether the account's exchange trades it"),
                            ("plan", "Plan: whether the account may place such an order, and as many today"),
                        ],
                        max_length=10,
                    ),
                ),
                ("code", models.CharField(blank=True, max_length=32)),
                ("count", models.PositiveBigIntegerField()),
                ("seconds", models.FloatField()),
                (
                    "histogram",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
            ],
            options={
                "db_table": "webhooks_delivery_count",
            },
        ),
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("enabled", models.BooleanField(default=True)),
                ("token_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("token_hint", models.CharField(editable=False, max_length=4)),
                (
                    "previous_token_hash",
                    models.CharField(editable=False, max_length=64, null=True, unique=True),
                ),
                ("previous_token_until", models.DateTimeField(editable=False, null=True)),
                ("secret_hash", models.CharField(editable=False, max_length=64)),
                ("secret_hint", models.CharField(editable=False, max_length=4)),
                ("previous_secret_hash", models.CharField(blank=True, editable=False, max_length=64)),
                ("previous_secret_until", models.DateTimeField(editable=False, null=True)),
                ("signing_secret", models.TextField(blank=True, editable=False)),
                ("signing_hint", models.CharField(blank=True, editable=False, max_length=4)),
                ("previous_signing_secret", models.TextField(blank=True, editable=False)),
                ("previous_signing_until", models.DateTimeField(editable=False, null=True)),
                ("require_secret", models.BooleanField(default=True)),
                (
                    "allowed_addresses",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), blank=True, default=list, size=None
                    ),
                ),
                (
                    "window_seconds",
                    models.PositiveSmallIntegerField(
                        default=300,
                        validators=[
                            django.core.validators.MinValueValidator(60),
                            django.core.validators.MaxValueValidator(600),
                        ],
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="endpoints",
                        to="orders.account",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "webhooks_endpoint",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("address", models.GenericIPAddressField(null=True)),
                ("user_agent", models.CharField(blank=True, max_length=256)),
                ("format", models.CharField(max_length=32)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("accepted", "Accepted: an order follows"),
                            ("recorded", "Recorded: valid, and nothing to act upon"),
                            ("duplicate", "Duplicate: came before, and got the answer of then"),
                            ("refused", "Refused: by a layer"),
                            (
                                "failed",
                                "Failed: could not be committed; the sender was asked to send it again",
                            ),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "layer",
                    models.CharField(
                        blank=True,
                        choices=[
                            (
                                "token",
                                "Token: whether the address is an endpoint's, which is on, with its account and user",
                            ),
                            (
                                "address",
                                "Address: whether the sender's address is one that the endpoint takes signals from",
                            ),
                            ("shape", "Shape: whether the body is what its format takes"),
                            (
                                "timestamp",
                                "Timestamp: whether the signal is as young as the endpoint's window",
                            ),
                            (
                                "secret",
                                "Secret: whether the sender knows the endpoint's secret, or signed with it",
                            ),
                            ("replay", "Replay: whether the same key came before"),
                            ("symbol", "Symbol: whether the account's exchange trades it"),
                            ("plan", "Plan: whether the account may place such an order, and as many today"),
                        ],
                        max_length=10,
                    ),
                ),
                ("code", models.CharField(blank=True, max_length=32)),
                ("detail", models.TextField(blank=True)),
                ("status", models.PositiveSmallIntegerField()),
                ("signal", models.CharField(blank=True, max_length=16)),
                ("symbol", models.CharField(blank=True, max_length=64)),
                ("simulation", models.BooleanField(null=True)),
                ("order_id", models.UUIDField(null=True)),
                ("key", models.CharField(blank=True, max_length=128)),
                ("body", models.JSONField(null=True)),
                ("body_digest", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField()),
                ("milliseconds", models.FloatField()),
                ("request_id", models.CharField(blank=True, max_length=128)),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="webhooks.endpoint",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "db_table": "webhooks_delivery",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Receipt",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "endpoint_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.CharField(max_length=128)),
                ("digest", models.CharField(max_length=64)),
                ("status", models.PositiveSmallIntegerField()),
                ("answer", models.JSONField()),
                ("order_id", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="webhooks.endpoint",
                    ),
                ),
            ],
            options={
                "db_table": "webhooks_receipt",
            },
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.UniqueConstraint(fields=("user", "name"), name="webhooks_endpoint_name"),
        ),
        migrations.AddConstraint(
            model_name="endpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(("window_seconds__gte", 60), ("window_seconds__lte", 600)),
                name="webhooks_endpoint_window",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["endpoint", "-id"], name="webhooks_delivery_endpoint"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("order_id__isnull", False)),
                fields=["order_id"],
                name="webhooks_delivery_order",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["at"], name="webhooks_delivery_at"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("request_id", ""), _negated=True),
                fields=["request_id"],
                name="webhooks_delivery_request",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=django.contrib.postgres.indexes.HashIndex(
                condition=models.Q(("key", ""), _negated=True),
                fields=["key"],
                name="webhooks_delivery_key",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["address"], name="webhooks_delivery_address"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("layer", ""), _negated=True),
                fields=["endpoint", "layer", "-id"],
                name="webhooks_delivery_layer",
            ),
        ),
        migrations.AddIndex(
            model_name="receipt",
            index=models.Index(fields=["created_at"], name="webhooks_receipt_created"),
        ),
    ]
