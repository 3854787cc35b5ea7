"""Backtests that were asked for, and results, which several of them may have."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.core.ids import uuid7

#: Columns of results that are megabytes and are read only by who names them.
HEAVY = ("trades_data", "equity_data", "drawing_data")


class LightResults(models.Manager["BacktestResult"]):
    """Results without their heavy columns, which are read when they are looked at."""

    def get_queryset(self) -> models.QuerySet[BacktestResult]:
        return super().get_queryset().defer(*HEAVY)


class BacktestResult(models.Model):
    """One row is one outcome: of a specification, on these very bars, by this version of the engine.

    Whatever backtests have the same three share it, whoever they are of: it says nothing in anybody's words.
    It goes with the last of them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    spec_hash = models.TextField()
    data_fingerprint = models.TextField()
    engine_version = models.TextField()
    fingerprint = models.TextField(help_text="sha256 over the whole equity curve and all trades.")
    bars = models.IntegerField()
    trade_count = models.IntegerField()
    metrics = models.JSONField()
    equity = models.JSONField(help_text="Columns ts and value: a curve that keeps every peak and trough.")
    ambiguous = models.IntegerField(
        default=0, help_text="Bars that do not tell which of two orders was filled first."
    )
    bounds = models.JSONField(
        null=True, help_text="The pessimistic and the optimistic reading of those bars."
    )
    certificate = models.JSONField(null=True, help_text="That no signal looked ahead, and how it was tested.")
    timings = models.JSONField(default=dict, help_text="Milliseconds of the run that made it, by part.")
    maker = models.UUIDField(null=True, help_text="The backtest whose run made it, which may be gone.")
    trades_data = models.BinaryField(help_text="All trades, as an Arrow stream; see `columns`.")
    equity_data = models.BinaryField(
        null=True, help_text="The whole curve, likewise; null where only `equity` was ever kept."
    )
    drawing_data = models.BinaryField(
        null=True, help_text="What a report draws of the candles of the run; see `report.drawing`."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: Any = LightResults()

    class Meta:
        db_table = "backtests_result"
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(
                name="backtests_result_identity",
                fields=["spec_hash", "data_fingerprint", "engine_version"],
            )
        ]

    def __str__(self) -> str:
        return f"result {self.fingerprint[:16]}"


class Backtest(models.Model):
    """One row is one request to run one specification over one range of candles.

    How it stands is said by its runs; what came of it by its result, which may have been there before.
    """

    class Missing(models.TextChoices):
        """What to do about minutes that are missing."""

        REFUSE = "refuse", "Refuse: list them, and run nothing"
        FETCH = "fetch", "Fetch: get them from the exchange first"
        IGNORE = "ignore", "Ignore: run on what is there"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="backtests")
    title = models.TextField(default="", blank=True)
    labels = models.JSONField(default=list, blank=True)
    instruments = models.JSONField(help_text="As binance:BTC/USDT, in the order in which they were named.")
    timeframe = models.TextField()
    start = models.DateTimeField(help_text="Where the first bar may open.")
    end = models.DateTimeField(help_text="The end of the last bar.")
    strategy = models.TextField(help_text="Its name.")
    spec = models.JSONField(help_text="The complete specification, defaults filled in.")
    definition = models.TextField(
        default="",
        help_text=(
            "The strategy's document as it was asked for, with the orders and risk of the specification:"
            " JSON, in the order that JSON columns do not keep. Empty: unknown."
        ),
    )
    spec_hash = models.TextField()
    request_hash = models.TextField(help_text="Of specification, instruments, timeframe, range and engine.")
    data_version = models.TextField(
        default="", blank=True, help_text="Of the stored months that it was computed from; empty: unknown."
    )
    missing = models.TextField(choices=Missing, default=Missing.REFUSE)
    reused = models.BooleanField(default=False, help_text="Whether its result was there before.")
    task_run = models.UUIDField(null=True, help_text="The run that computes it; null: none had to.")
    fetch_run = models.UUIDField(null=True, help_text="The run that waits for missing candles before that.")
    backfills = models.JSONField(default=list, help_text="The backfills that it waits for.")
    result = models.ForeignKey(BacktestResult, null=True, on_delete=models.PROTECT, related_name="backtests")
    idempotency_key = models.TextField(null=True)  # noqa: DJ001 (null: none was given)
    body_hash = models.TextField(default="", help_text="Of the body that came with the idempotency key.")
    share_hash = models.TextField(null=True, unique=True)  # noqa: DJ001 (null: not shared)
    shared_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    #: Whether it was returned to a request with the key of an earlier one. Not stored.
    was_there = False

    class Meta:
        db_table = "backtests_backtest"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="backtests_backtest_range", condition=Q(start__lt=F("end"))),
            models.UniqueConstraint(
                name="backtests_backtest_key",
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-id"], name="backtests_backtest_owner"),
            models.Index(
                fields=["request_hash", "data_version"],
                name="backtests_backtest_request",
                condition=Q(result__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} on {self.where} {self.timeframe}"

    @property
    def where(self) -> str:
        """The instruments in few words."""
        first, *others = self.instruments
        return f"{first} and {len(others)} more" if others else str(first)


from apps.backtests.sweeps.models import Sweep, SweepChunk, SweepPick  # noqa: E402, F401
