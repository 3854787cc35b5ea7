"""Results become objects of their own, which several backtests may have; requests keep more of themselves.

Former results keep metrics, all trades, and of the equity curve what was stored of it. On the way back,
what cannot be said there is deleted: backtests of several instruments, those that no run computed, and those
of specifications that have no flat form.
"""

from __future__ import annotations

import hashlib

import django.db.models.deletion
import pyarrow as pa
from django.conf import settings
from django.db import migrations, models

import apps.core.ids

_TRADE = {
    "side": pa.string(), "size": pa.float64(), "entry_time": pa.int64(), "exit_time": pa.int64(),
    "entry_bar": pa.int64(), "exit_bar": pa.int64(), "entry_price": pa.float64(), "exit_price": pa.float64(),
    "commission": pa.float64(), "pnl": pa.float64(), "return_pct": pa.float64(), "reason": pa.string(),
}  # fmt: skip


def _spec(flat):
    """A specification in blocks, from one of before there were any."""
    taker = flat.get("commission", 0.0)
    return {
        "strategy": flat["strategy"],
        "params": flat.get("params", {}),
        "cash": flat.get("cash", 10_000.0),
        "sizing": {"type": "equity", "value": flat.get("fraction", 1.0), "lot": flat.get("lot", 0.0)},
        "leverage": 1.0,
        "maintenance_margin": None,
        "pyramiding": 0,
        "max_positions": 0,
        "costs": {
            "maker": taker,
            "taker": taker,
            "fixed": 0.0,
            "spread": flat.get("spread", 0.0),
            "slippage": flat.get("slippage", 0.0),
            "funding": 0.0,
        },
        "execution": {
            "fill": "next_open",
            "detail": None,
            "same_bar": "pessimistic",
            "finalise": flat.get("finalise", "last_close"),
        },
        "orders": None,
        "risk": None,
    }


def _flat(spec):
    """The specification of before there were blocks that means the same; None where there is none.

    Without limit orders nobody pays the maker's fee, and nothing was borrowed then that has a margin.
    """
    costs, sizing, execution = spec["costs"], spec["sizing"], spec["execution"]
    flat = {
        "strategy": spec["strategy"],
        "params": spec["params"],
        "cash": spec["cash"],
        "commission": costs["taker"],
        "spread": costs["spread"],
        "slippage": costs["slippage"],
        "fraction": sizing["value"],
        "lot": sizing["lot"],
        "finalise": execution["finalise"],
    }
    same = {**spec, "maintenance_margin": None, "costs": {**costs, "maker": costs["taker"]}}
    return flat if spec["strategy"] == "sma_cross" and _spec(flat) == same else None


def _trades(rows):
    """Trades as they are stored now."""
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in _TRADE.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _rows(data):
    """Trades as they were stored before."""
    table = pa.ipc.open_stream(bytes(data)).read_all()
    return table.select(list(_TRADE)).to_pylist()


def forward(apps_then, schema_editor):
    Backtest = apps_then.get_model("backtests", "Backtest")
    Result = apps_then.get_model("backtests", "BacktestResult")
    Former = apps_then.get_model("backtests", "FormerResult")
    for backtest in Backtest.objects.iterator(chunk_size=100):
        former = Former.objects.filter(pk=backtest.pk).first()
        if former is not None:
            backtest.result, _ = Result.objects.get_or_create(
                spec_hash=backtest.spec_hash,
                data_fingerprint=former.data_fingerprint,
                engine_version=former.engine_version,
                defaults={
                    "fingerprint": former.fingerprint,
                    "bars": former.bars,
                    "trade_count": len(former.trades),
                    "metrics": former.metrics,
                    "equity": former.equity,
                    "trades_data": _trades(former.trades),
                },
            )
        backtest.instruments = [backtest.instrument]
        backtest.strategy = backtest.spec["strategy"]
        backtest.spec = _spec(backtest.spec)
        # Nothing that is asked for from now on is the same: the form of specifications has changed.
        backtest.request_hash = hashlib.sha256(str(backtest.pk).encode()).hexdigest()
        backtest.save()


def backward(apps_then, schema_editor):
    Backtest = apps_then.get_model("backtests", "Backtest")
    Former = apps_then.get_model("backtests", "FormerResult")
    for backtest in Backtest.objects.select_related("result").iterator(chunk_size=100):
        flat = _flat(backtest.spec)
        if len(backtest.instruments) > 1 or backtest.task_run is None or flat is None:
            backtest.delete()
            continue
        backtest.spec = flat
        backtest.instrument = backtest.instruments[0]
        backtest.save()
        result = backtest.result
        if result is not None:
            Former.objects.create(
                backtest=backtest,
                bars=result.bars,
                metrics=result.metrics,
                trades=_rows(result.trades_data),
                equity=result.equity,
                fingerprint=result.fingerprint,
                data_fingerprint=result.data_fingerprint,
                engine_version=result.engine_version,
            )


# Nothing can be altered while checks of what was just written are pending.
CHECK = "SET CONSTRAINTS ALL IMMEDIATE"


class Migration(migrations.Migration):
    dependencies = [
        ("backtests", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameModel("BacktestResult", "FormerResult"),
        migrations.AlterModelTable("FormerResult", "backtests_former_result"),
        migrations.AlterField(
            "FormerResult",
            "backtest",
            models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                primary_key=True,
                related_name="+",
                serialize=False,
                to="backtests.backtest",
            ),
        ),
        migrations.CreateModel(
            name="BacktestResult",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("spec_hash", models.TextField()),
                ("data_fingerprint", models.TextField()),
                ("engine_version", models.TextField()),
                (
                    "fingerprint",
                    models.TextField(help_text="sha256 over the whole equity curve and all trades."),
                ),
                ("bars", models.IntegerField()),
                ("trade_count", models.IntegerField()),
                ("metrics", models.JSONField()),
                (
                    "equity",
                    models.JSONField(
                        help_text="Columns ts and value: a curve that keeps every peak and trough."
                    ),
                ),
                (
                    "ambiguous",
                    models.IntegerField(
                        default=0, help_text="Bars that do not tell which of two orders was filled first."
                    ),
                ),
                (
                    "bounds",
                    models.JSONField(
                        help_text="The pessimistic and the optimistic reading of those bars.", null=True
                    ),
                ),
                (
                    "certificate",
                    models.JSONField(
                        help_text="That no signal looked ahead, and how it was tested.", null=True
                    ),
                ),
                (
                    "timings",
                    models.JSONField(
                        default=dict, help_text="Milliseconds of the run that made it, by part."
                    ),
                ),
                (
                    "definition",
                    models.TextField(
                        default="",
                        help_text="The strategy's document as it ran, with the orders and risk of the specification: JSON, in the order that JSON columns do not keep. Empty: unknown.",
                    ),
                ),
                (
                    "maker",
                    models.UUIDField(
                        help_text="The backtest whose run made it, which may be gone.", null=True
                    ),
                ),
                (
                    "trades_data",
                    models.BinaryField(help_text="All trades, as an Arrow stream; see `columns`."),
                ),
                (
                    "equity_data",
                    models.BinaryField(
                        help_text="The whole curve, likewise; null where only `equity` was ever kept.",
                        null=True,
                    ),
                ),
                (
                    "drawing_data",
                    models.BinaryField(
                        help_text="What a report draws of the candles of the run; see `report.drawing`.",
                        null=True,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "backtests_result",
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("spec_hash", "data_fingerprint", "engine_version"),
                        name="backtests_result_identity",
                    )
                ],
            },
        ),
        # They are compressed already.
        migrations.RunSQL(
            "ALTER TABLE backtests_result ALTER trades_data SET STORAGE EXTERNAL,"
            " ALTER equity_data SET STORAGE EXTERNAL, ALTER drawing_data SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
        migrations.AddField("Backtest", "title", models.TextField(blank=True, default="")),
        migrations.AddField("Backtest", "labels", models.JSONField(blank=True, default=list)),
        migrations.AddField(
            "Backtest",
            "instruments",
            models.JSONField(
                default=list, help_text="As binance:BTC/USDT, in the order in which they were named."
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "Backtest",
            "strategy",
            models.TextField(default="", help_text="Its name."),
            preserve_default=False,
        ),
        migrations.AddField(
            "Backtest",
            "request_hash",
            models.TextField(
                default="", help_text="Of specification, instruments, timeframe, range and engine."
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "Backtest",
            "data_version",
            models.TextField(
                blank=True,
                default="",
                help_text="Of the stored months that it was computed from; empty: unknown.",
            ),
        ),
        migrations.AddField(
            "Backtest",
            "missing",
            models.TextField(
                choices=[
                    ("refuse", "Refuse: list them, and run nothing"),
                    ("fetch", "Fetch: get them from the exchange first"),
                    ("ignore", "Ignore: run on what is there"),
                ],
                default="refuse",
            ),
        ),
        migrations.AddField(
            "Backtest",
            "reused",
            models.BooleanField(default=False, help_text="Whether its result was there before."),
        ),
        migrations.AddField(
            "Backtest",
            "fetch_run",
            models.UUIDField(help_text="The run that waits for missing candles before that.", null=True),
        ),
        migrations.AddField(
            "Backtest",
            "backfills",
            models.JSONField(default=list, help_text="The backfills that it waits for."),
        ),
        migrations.AddField("Backtest", "idempotency_key", models.TextField(null=True)),
        migrations.AddField(
            "Backtest",
            "body_hash",
            models.TextField(default="", help_text="Of the body that came with the idempotency key."),
        ),
        migrations.AddField("Backtest", "share_hash", models.TextField(null=True, unique=True)),
        migrations.AddField("Backtest", "shared_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "Backtest",
            "result",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="backtests",
                to="backtests.backtestresult",
            ),
        ),
        migrations.AlterField(
            "Backtest", "start", models.DateTimeField(help_text="Where the first bar may open.")
        ),
        migrations.AlterField("Backtest", "end", models.DateTimeField(help_text="The end of the last bar.")),
        migrations.AlterField(
            "Backtest",
            "task_run",
            models.UUIDField(help_text="The run that computes it; null: none had to.", null=True),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, CHECK),
        migrations.RunPython(forward, backward),
        migrations.RunSQL(CHECK, migrations.RunSQL.noop),
        migrations.DeleteModel("FormerResult"),
        migrations.AlterField("Backtest", "instrument", models.TextField(default="")),
        migrations.RemoveField("Backtest", "instrument"),
        migrations.AddIndex(
            "Backtest",
            models.Index(
                condition=models.Q(("result__isnull", False)),
                fields=["request_hash", "data_version"],
                name="backtests_backtest_request",
            ),
        ),
        migrations.AddConstraint(
            "Backtest",
            models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("owner", "idempotency_key"),
                name="backtests_backtest_key",
            ),
        ),
    ]
