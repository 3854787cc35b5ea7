"""Instruments, the read side of the candle tables, and backfills."""

from __future__ import annotations

from django.db import models

from apps.candles.instruments import instrument_text
from apps.core.ids import uuid7

#: Ten to this power is exact in a float64, and so is every stored value divided by it.
MAX_SCALE = 18


class Instrument(models.Model):
    """One row is one market of one exchange: what candles are candles of.

    Prices and volumes of its candles are stored as integers: the value times ten to the power of
    the scale. A scale only ever grows (`services.raise_scale`), and the stored values with it.
    """

    class Kind(models.TextChoices):
        SPOT = "spot", "Spot: the thing itself changes hands"
        SWAP = "swap", "Swap: a perpetual contract"
        FUTURE = "future", "Future: a contract that expires"

    # int4 on purpose: it is the width that the candle tables carry in every row.
    id = models.AutoField(primary_key=True)
    exchange = models.CharField(max_length=32)
    symbol = models.CharField(max_length=64)
    base = models.CharField(max_length=32)
    quote = models.CharField(max_length=32)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SPOT)
    price_scale = models.PositiveSmallIntegerField()
    volume_scale = models.PositiveSmallIntegerField()
    #: Whether the sync follows it.
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exchange", "symbol"], name="candles_instrument_key"),
            models.CheckConstraint(
                condition=models.Q(price_scale__lte=MAX_SCALE, volume_scale__lte=MAX_SCALE),
                name="candles_instrument_scales",
            ),
        ]
        ordering = ["exchange", "symbol"]

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The identifier in the API: ``binance:BTC/USDT``."""
        return instrument_text(self.exchange, self.symbol)


class Candle(models.Model):
    """What the candle tables have in common. They are made by SQL and written by `storage`.

    ``ts`` is the open time; prices and volume are integers in units of the instrument's scales.
    """

    pk = models.CompositePrimaryKey("instrument_id", "ts")
    instrument = models.ForeignKey(
        Instrument, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    ts = models.DateTimeField()
    open = models.BigIntegerField()
    high = models.BigIntegerField()
    low = models.BigIntegerField()
    close = models.BigIntegerField()
    volume = models.BigIntegerField()

    class Meta:
        abstract = True
        managed = False

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.ts.isoformat()}"


class Rollup(Candle):
    """A candle made of the minutes inside its bucket; ``n`` says how many there are."""

    n = models.IntegerField()

    class Meta(Candle.Meta):
        abstract = True


class Candle1m(Candle):
    """One row is one minute of one instrument."""

    class Meta(Candle.Meta):
        abstract = False
        db_table = "candle_1m"


class Candle5m(Rollup):
    """One row is five minutes of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_5m"


class Candle1h(Rollup):
    """One row is one hour of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_1h"


class Candle1d(Rollup):
    """One row is one UTC day of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_1d"


class Backfill(models.Model):
    """One row is one request to fetch a range of an instrument's minutes.

    It holds what was asked for. How far it has come is read off the runs of its tasks
    (`selectors.backfill_status`), never stored a second time.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    exchange = models.CharField(max_length=32)
    symbol = models.CharField(max_length=64)
    #: Known once the first task has found it, at the exchange if need be.
    instrument = models.ForeignKey(Instrument, models.PROTECT, null=True, related_name="backfills")
    start = models.DateTimeField()
    end = models.DateTimeField()
    #: The actor of the request, as in events: ``user:<id>`` or ``system``.
    requested_by = models.CharField(max_length=64)
    #: The run of the task that looks up the instrument and plans the chunks.
    prepare_run = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(start__lt=models.F("end")), name="candles_backfill_range"
            ),
        ]
        indexes = [models.Index(fields=["-created_at"], name="candles_backfill_newest")]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.text} {self.start.isoformat()}..{self.end.isoformat()}"

    @property
    def text(self) -> str:
        """The instrument's identifier in the API."""
        return instrument_text(self.exchange, self.symbol)


class BackfillChunk(models.Model):
    """One row is the part of a backfill that one task fetches and one transaction writes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    backfill = models.ForeignKey(Backfill, models.CASCADE, related_name="chunks")
    start = models.DateTimeField()
    end = models.DateTimeField()
    task_run = models.UUIDField(null=True)
    #: Minutes that the exchange had and that are now stored; empty until the chunk is written.
    rows = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["backfill", "start"], name="candles_chunk_key"),
            models.CheckConstraint(condition=models.Q(start__lt=models.F("end")), name="candles_chunk_range"),
        ]
        ordering = ["start"]

    def __str__(self) -> str:
        return f"{self.start.isoformat()}..{self.end.isoformat()}"
