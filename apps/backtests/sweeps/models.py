"""Sweeps that were asked for, their chunks, and the backtests that came of their best combinations."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.core.ids import uuid7

#: Columns of chunks that are large and are read only by who names them.
HEAVY = ("params", "table", "walk", "returns")


class Sweep(models.Model):
    """One row is one request to try one strategy with many parameters over one range of candles.

    How it stands is said by the runs of its batch and of its end.
    """

    class Method(models.TextChoices):
        """How combinations are made."""

        GRID = "grid", "Grid: every combination"
        RANDOM = "random", "Random: so many that are drawn"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sweeps")
    instruments = models.JSONField(help_text="As binance:BTC/USDT, in the order in which they were named.")
    timeframe = models.TextField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    strategy = models.TextField(help_text="Its name.")
    spec = models.JSONField(help_text="The complete specification, with the first combination's parameters.")
    space = models.JSONField(help_text="What each swept parameter may be, as it was asked for.")
    method = models.TextField(choices=Method)
    samples = models.IntegerField(null=True)
    seed = models.BigIntegerField(null=True)
    metric = models.TextField(help_text="What the best are the best by.")
    best_count = models.IntegerField(help_text="How many of the best are run in full.")
    walk_forward = models.JSONField(null=True)
    combinations = models.IntegerField()
    refused = models.IntegerField(help_text="Combinations that the strategy does not allow.")
    repeated = models.IntegerField(help_text="Combinations that came to the same as others.")
    batch = models.UUIDField(help_text="The runs that compute the chunks.")
    finish_run = models.UUIDField(help_text="The run that judges the whole, once they have ended.")
    data_fingerprint = models.TextField(
        default="", help_text="Of the bars that it is of; empty until they were first loaded."
    )
    summary = models.JSONField(null=True, help_text="The judgement; null until then.")
    finished_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    idempotency_key = models.TextField(null=True)  # noqa: DJ001 (null: none was given)
    body_hash = models.TextField(default="", help_text="Of the body that came with the idempotency key.")
    created_at = models.DateTimeField(auto_now_add=True)

    #: Whether it was returned to a request with the key of an earlier one. Not stored.
    was_there = False

    class Meta:
        db_table = "backtests_sweep"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="backtests_sweep_range", condition=Q(start__lt=F("end"))),
            models.UniqueConstraint(
                name="backtests_sweep_key",
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["owner", "-id"], name="backtests_sweep_owner")]

    def __str__(self) -> str:
        first, *others = self.instruments
        where = f"{first} and {len(others)} more" if others else first
        return f"{self.combinations} of {self.strategy} on {where} {self.timeframe}"


class LightChunks(models.Manager["SweepChunk"]):
    """Chunks without their heavy columns, which are read when they are looked at."""

    def get_queryset(self) -> models.QuerySet[SweepChunk]:
        return super().get_queryset().defer(*HEAVY)


class SweepChunk(models.Model):
    """One row is some of a sweep's combinations, computed by one run, and what came of them."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sweep = models.ForeignKey(Sweep, on_delete=models.CASCADE, related_name="chunks")
    number = models.IntegerField()
    first = models.IntegerField(help_text="Number of its first combination.")
    count = models.IntegerField()
    task_run = models.UUIDField()
    params = models.BinaryField(help_text="Parameters of its combinations, as a compressed Arrow stream.")
    table = models.BinaryField(null=True, help_text="Their metrics, likewise; null until computed.")
    walk = models.BinaryField(null=True, help_text="The metric in the windows of each fold, likewise.")
    returns = models.BinaryField(null=True, help_text="Period returns, likewise, a column each.")
    data_fingerprint = models.TextField(default="", help_text="Of the bars that it was computed from.")
    computed_at = models.DateTimeField(null=True)

    objects: Any = LightChunks()

    class Meta:
        db_table = "backtests_sweep_chunk"
        base_manager_name = "objects"
        ordering = ["sweep", "number"]
        constraints = [
            models.UniqueConstraint(name="backtests_sweep_chunk_number", fields=["sweep", "number"])
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of sweep {self.sweep_id}"


class SweepPick(models.Model):
    """One row is one of the best combinations, and the backtest that runs it in full."""

    sweep = models.ForeignKey(Sweep, on_delete=models.CASCADE, related_name="picks")
    backtest = models.OneToOneField(
        "backtests.Backtest", on_delete=models.CASCADE, related_name="picked", primary_key=True
    )
    rank = models.IntegerField(help_text="1 is the best.")
    number = models.IntegerField(help_text="Of the combination.")

    class Meta:
        db_table = "backtests_sweep_pick"
        ordering = ["sweep", "rank"]
        constraints = [models.UniqueConstraint(name="backtests_sweep_pick_rank", fields=["sweep", "rank"])]

    def __str__(self) -> str:
        return f"number {self.number}, rank {self.rank}"
