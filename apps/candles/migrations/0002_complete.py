from __future__ import annotations

from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import apps.core.ids
from apps.candles.storage import installing


def follow_what_was_active(apps: Any, schema_editor: Any) -> None:
    """So far, whom to follow was said by ``active``."""
    instruments = apps.get_model("candles", "Instrument").objects
    instruments.update(followed=models.F("active"), active=True)


def follow_by_active(apps: Any, schema_editor: Any) -> None:
    apps.get_model("candles", "Instrument").objects.update(active=models.F("followed"))


def install(apps: Any, schema_editor: Any) -> None:
    installing.install()


def uninstall(apps: Any, schema_editor: Any) -> None:
    installing.uninstall()


def candle_table(timeframe: str) -> migrations.CreateModel:
    """The state of a model that reads a roll-up; the relation is made by `install`."""
    return migrations.CreateModel(
        name=f"Candle{timeframe}",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey(
                    "instrument_id", "ts", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            (
                "instrument",
                models.ForeignKey(
                    db_constraint=False,
                    db_index=False,
                    on_delete=django.db.models.deletion.DO_NOTHING,
                    related_name="+",
                    to="candles.instrument",
                ),
            ),
            ("ts", models.DateTimeField()),
            *((name, models.BigIntegerField()) for name in ("open", "high", "low", "close", "volume")),
            ("n", models.IntegerField()),
        ],
        options={"db_table": f"candle_{timeframe}", "abstract": False, "managed": False},
    )


class Migration(migrations.Migration):
    dependencies = [
        ("candles", "0001_initial"),
    ]

    operations = [
        *(candle_table(name) for name in ("15m", "30m", "4h", "1w")),
        migrations.CreateModel(
            name="Exchange",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("resting_until", models.DateTimeField(null=True)),
                ("resting_reason", models.TextField(blank=True)),
                ("catalogue_at", models.DateTimeField(null=True)),
                ("unreadable", models.JSONField(default=list)),
            ],
            options={"ordering": ["name"]},
        ),
        migrations.AddField(
            model_name="backfillchunk",
            name="quarantined",
            field=models.IntegerField(default=0),
        ),
        migrations.CreateModel(
            name="Gap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gaps",
                        to="candles.instrument",
                    ),
                ),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("outage", "Outage: other instruments of the exchange lack the same minutes"),
                            (
                                "no_trades",
                                "No trades: others have these minutes; quiet ones are left out",
                            ),
                            ("expired", "Expired: the exchange does not serve minutes that old"),
                            (
                                "unexplained",
                                "Unexplained: the exchange has no such minutes and nothing tells why",
                            ),
                        ],
                        max_length=12,
                    ),
                ),
                ("asked_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["instrument", "start"],
            },
        ),
        migrations.CreateModel(
            name="QuarantinedCandle",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="quarantined",
                        to="candles.instrument",
                    ),
                ),
                ("ts", models.DateTimeField(null=True)),
                ("row", models.JSONField()),
                ("reason", models.CharField(max_length=32)),
                ("message", models.TextField()),
                ("origin", models.CharField(max_length=255)),
                ("run", models.UUIDField(null=True)),
                ("digest", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "Held: waits for somebody to decide"),
                            ("readmitted", "Readmitted: stored after all, perhaps corrected"),
                            ("discarded", "Discarded: somebody decided that it is worth nothing"),
                        ],
                        default="held",
                        max_length=12,
                    ),
                ),
                ("seen", models.PositiveIntegerField(default=1)),
                ("first_seen", models.DateTimeField(auto_now_add=True)),
                ("last_seen", models.DateTimeField(default=django.utils.timezone.now)),
                ("decided_by", models.CharField(blank=True, max_length=64)),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-last_seen"],
            },
        ),
        migrations.CreateModel(
            name="Revision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "instrument",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="candles.instrument",
                    ),
                ),
                ("month", models.DateField()),
                ("token", models.BigIntegerField()),
            ],
            options={
                "indexes": [models.Index(fields=["instrument", "month"], name="candles_revision_month")]
            },
        ),
        migrations.AddField(
            model_name="instrument",
            name="contract_size",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="instrument",
            name="followed",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="instrument",
            name="listed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="instrument",
            name="settle",
            field=models.CharField(blank=True, max_length=32),
        ),
        migrations.AddField(
            model_name="instrument",
            name="venue_id",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddIndex(
            model_name="instrument",
            index=models.Index(
                condition=models.Q(("active", True), ("followed", True)),
                fields=["exchange", "symbol"],
                name="candles_instrument_followed",
            ),
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.UniqueConstraint(fields=("instrument", "start"), name="candles_gap_key"),
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.CheckConstraint(
                condition=models.Q(("start__lt", models.F("end"))), name="candles_gap_range"
            ),
        ),
        migrations.AddIndex(
            model_name="quarantinedcandle",
            index=models.Index(fields=["-last_seen"], name="candles_quarantined_newest"),
        ),
        migrations.AddIndex(
            model_name="quarantinedcandle",
            index=models.Index(
                condition=models.Q(("state", "held")),
                fields=["instrument", "ts"],
                name="candles_quarantined_held",
            ),
        ),
        migrations.AddConstraint(
            model_name="quarantinedcandle",
            constraint=models.UniqueConstraint(
                fields=("instrument", "digest", "reason"), name="candles_quarantined_key"
            ),
        ),
        migrations.RunPython(follow_what_was_active, follow_by_active),
        migrations.RunPython(install, uninstall),
    ]
