"""Backtests that were asked for, and their results."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.core.ids import uuid7


class Backtest(models.Model):
    """One row is one request to run one specification over one range of candles.

    How it stands is said by its run; its result, once there, by `BacktestResult`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="backtests")
    instrument = models.TextField(help_text="As binance:BTC/USDT.")
    timeframe = models.TextField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    spec = models.JSONField(help_text="The complete specification, defaults filled in.")
    spec_hash = models.TextField()
    task_run = models.UUIDField(help_text="The run that computes it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "backtests_backtest"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="backtests_backtest_range", condition=Q(start__lt=F("end"))),
        ]
        indexes = [models.Index(fields=["owner", "-id"], name="backtests_backtest_owner")]

    def __str__(self) -> str:
        return f"{self.spec['strategy']} on {self.instrument} {self.timeframe}"


class BacktestResult(models.Model):
    """One row is the outcome of one backtest.

    Specification, data and engine version identify it: running again gives the same fingerprint.
    """

    backtest = models.OneToOneField(
        Backtest, on_delete=models.CASCADE, primary_key=True, related_name="result"
    )
    bars = models.IntegerField()
    metrics = models.JSONField()
    trades = models.JSONField(help_text="A list of objects, in the order of their exits.")
    equity = models.JSONField(help_text="Columns ts and value: a curve that keeps every peak and trough.")
    fingerprint = models.TextField(help_text="sha256 over the whole equity curve and all trades.")
    data_fingerprint = models.TextField()
    engine_version = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "backtests_result"

    def __str__(self) -> str:
        return f"result of {self.backtest_id}"


from apps.backtests.sweeps.models import Sweep, SweepChunk, SweepPick  # noqa: E402, F401
