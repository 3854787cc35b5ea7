from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import apps.core.ids
from apps.core.resources import sql


def candle_table(name: str, table: str, *more: tuple[str, models.Field]) -> migrations.CreateModel:
    """The state of a model that reads a table made by SQL."""
    return migrations.CreateModel(
        name=name,
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
            ("open", models.BigIntegerField()),
            ("high", models.BigIntegerField()),
            ("low", models.BigIntegerField()),
            ("close", models.BigIntegerField()),
            ("volume", models.BigIntegerField()),
            *more,
        ],
        options={"db_table": table, "abstract": False, "managed": False},
    )


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.CreateModel(
            name="Instrument",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("exchange", models.CharField(max_length=32)),
                ("symbol", models.CharField(max_length=64)),
                ("base", models.CharField(max_length=32)),
                ("quote", models.CharField(max_length=32)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("spot", "Spot: the thing itself changes hands"),
                            ("swap", "Swap: a perpetual contract"),
                            ("future", "Future: a contract that expires"),
                        ],
                        default="spot",
                        max_length=8,
                    ),
                ),
                ("price_scale", models.PositiveSmallIntegerField()),
                ("volume_scale", models.PositiveSmallIntegerField()),
                ("active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["exchange", "symbol"],
                "constraints": [
                    models.UniqueConstraint(fields=("exchange", "symbol"), name="candles_instrument_key"),
                    models.CheckConstraint(
                        condition=models.Q(("price_scale__lte", 18), ("volume_scale__lte", 18)),
                        name="candles_instrument_scales",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Backfill",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("exchange", models.CharField(max_length=32)),
                ("symbol", models.CharField(max_length=64)),
                (
                    "instrument",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="backfills",
                        to="candles.instrument",
                    ),
                ),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("requested_by", models.CharField(max_length=64)),
                ("prepare_run", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-created_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("start__lt", models.F("end"))), name="candles_backfill_range"
                    )
                ],
                "indexes": [models.Index(fields=["-created_at"], name="candles_backfill_newest")],
            },
        ),
        migrations.CreateModel(
            name="BackfillChunk",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "backfill",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="candles.backfill",
                    ),
                ),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("task_run", models.UUIDField(null=True)),
                ("rows", models.IntegerField(null=True)),
            ],
            options={
                "ordering": ["start"],
                "constraints": [
                    models.UniqueConstraint(fields=("backfill", "start"), name="candles_chunk_key"),
                    models.CheckConstraint(
                        condition=models.Q(("start__lt", models.F("end"))), name="candles_chunk_range"
                    ),
                ],
            },
        ),
        migrations.RunSQL(
            sql("apps.candles.storage", "0001_schema.sql"),
            sql("apps.candles.storage", "0001_drop_schema.sql"),
        ),
        candle_table("Candle1m", "candle_1m"),
        candle_table("Candle5m", "candle_5m", ("n", models.IntegerField())),
        candle_table("Candle1h", "candle_1h", ("n", models.IntegerField())),
        candle_table("Candle1d", "candle_1d", ("n", models.IntegerField())),
    ]
