"""Instruments, the read side of the candle relations, backfills, and what was not stored."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

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
    #: As ccxt spells it: ``BASE/QUOTE``, or ``BASE/QUOTE:SETTLE`` for contracts. Nothing is read out of it.
    symbol = models.CharField(max_length=64)
    #: The exchange's own name for it; empty until its catalogue was read.
    venue_id = models.CharField(max_length=64, blank=True)
    base = models.CharField(max_length=32)
    quote = models.CharField(max_length=32)
    #: What contracts are settled in; empty for spot.
    settle = models.CharField(max_length=32, blank=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SPOT)
    price_scale = models.PositiveSmallIntegerField()
    volume_scale = models.PositiveSmallIntegerField()
    #: Units of the base currency in one contract; empty for spot.
    contract_size = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    #: Since when the exchange has it, where the exchange says so.
    listed_at = models.DateTimeField(null=True, blank=True)
    #: Whether the exchange trades it now.
    active = models.BooleanField(default=True)
    #: Whether the sync keeps its newest minutes stored. The operator's choice.
    followed = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exchange", "symbol"], name="candles_instrument_key"),
            models.CheckConstraint(
                condition=models.Q(price_scale__lte=MAX_SCALE, volume_scale__lte=MAX_SCALE),
                name="candles_instrument_scales",
            ),
        ]
        indexes = [
            models.Index(
                fields=["exchange", "symbol"],
                condition=models.Q(followed=True, active=True),
                name="candles_instrument_followed",
            ),
        ]
        ordering = ["exchange", "symbol"]

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The identifier in the API: ``binance:BTC/USDT``."""
        return instrument_text(self.exchange, self.symbol)


class Exchange(models.Model):
    """One row is what is known of an exchange that candles are taken from."""

    #: As ccxt spells it.
    name = models.CharField(max_length=32, primary_key=True)
    #: Until when it asked to be left alone, and in which words.
    resting_until = models.DateTimeField(null=True)
    resting_reason = models.TextField(blank=True)
    #: When its list of markets was read last.
    catalogue_at = models.DateTimeField(null=True)
    #: Markets in that list which could not be read: symbol, kind and reason.
    unreadable = models.JSONField(default=list)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


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


class Candle15m(Rollup):
    """One row is a quarter of an hour of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_15m"


class Candle30m(Rollup):
    """One row is half an hour of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_30m"


class Candle1h(Rollup):
    """One row is one hour of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_1h"


class Candle4h(Rollup):
    """One row is four hours of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_4h"


class Candle1d(Rollup):
    """One row is one UTC day of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_1d"


class Candle1w(Rollup):
    """One row is one week from Monday, UTC, of one instrument."""

    class Meta(Rollup.Meta):
        abstract = False
        db_table = "candle_1w"


class Revision(models.Model):
    """One row is one change of the minutes of one instrument in one UTC month, or several of them merged.

    The exclusive or of the random tokens of all rows is the version of that month: whatever changes a value
    there adds a row (a trigger does), so a copy that was made of the same version is still right.
    """

    instrument = models.ForeignKey(
        Instrument, models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    #: The month's first day.
    month = models.DateField()
    token = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["instrument", "month"], name="candles_revision_month")]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.month:%Y-%m}"


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
    #: Rows that the exchange gave and that are in quarantine.
    quarantined = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["backfill", "start"], name="candles_chunk_key"),
            models.CheckConstraint(condition=models.Q(start__lt=models.F("end")), name="candles_chunk_range"),
        ]
        ordering = ["start"]

    def __str__(self) -> str:
        return f"{self.start.isoformat()}..{self.end.isoformat()}"


class QuarantinedCandle(models.Model):
    """One row is a candle that was given to be stored, and was not, because it cannot be right.

    The same candle, refused for the same reason once more, is counted and not kept a second time.
    """

    class State(models.TextChoices):
        HELD = "held", "Held: waits for somebody to decide"
        READMITTED = "readmitted", "Readmitted: stored after all, perhaps corrected"
        DISCARDED = "discarded", "Discarded: somebody decided that it is worth nothing"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="quarantined")
    #: The open time, where the row has one that can be read.
    ts = models.DateTimeField(null=True)
    #: The row as it came: open time, open, high, low, close, volume, as far as it goes.
    row = models.JSONField()
    #: One of `apps.candles.quality.Reason`.
    reason = models.CharField(max_length=32)
    message = models.TextField()
    #: Where it came from: ``backfill``, ``sync``, ``repair``, ``upload``, or ``import:<file name>``.
    origin = models.CharField(max_length=255)
    #: The run that met it last, where it was one.
    run = models.UUIDField(null=True)
    #: sha256 of the row, in hex.
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.HELD)
    seen = models.PositiveIntegerField(default=1)
    first_seen = models.DateTimeField(auto_now_add=True)
    last_seen = models.DateTimeField(default=timezone.now)
    #: The actor who decided, as in events.
    decided_by = models.CharField(max_length=64, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "digest", "reason"], name="candles_quarantined_key"
            ),
        ]
        indexes = [
            models.Index(fields=["-last_seen"], name="candles_quarantined_newest"),
            models.Index(
                fields=["instrument", "ts"],
                condition=models.Q(state="held"),
                name="candles_quarantined_held",
            ),
        ]
        ordering = ["-last_seen"]

    def __str__(self) -> str:
        return f"{self.instrument} {self.ts.isoformat() if self.ts else '?'}: {self.reason}"


class Gap(models.Model):
    """One row is a range of minutes of an instrument of which its exchange, when asked again, had none.

    Minutes that are missing and are in no such range have not been asked for again.
    """

    class Cause(models.TextChoices):
        OUTAGE = "outage", "Outage: other instruments of the exchange lack the same minutes"
        NO_TRADES = (
            "no_trades",
            "No trades: others have these minutes; quiet ones are left out",
        )
        EXPIRED = "expired", "Expired: the exchange does not serve minutes that old"
        UNEXPLAINED = "unexplained", "Unexplained: the exchange has no such minutes and nothing tells why"

    instrument = models.ForeignKey(Instrument, models.CASCADE, related_name="gaps")
    start = models.DateTimeField()
    end = models.DateTimeField()
    cause = models.CharField(max_length=12, choices=Cause.choices)
    #: When the exchange was asked.
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "start"], name="candles_gap_key"),
            models.CheckConstraint(condition=models.Q(start__lt=models.F("end")), name="candles_gap_range"),
        ]
        ordering = ["instrument", "start"]

    def __str__(self) -> str:
        return f"{self.instrument} {self.start.isoformat()}..{self.end.isoformat()}"
