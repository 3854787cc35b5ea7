"""Accounts, orders, their fills, and the positions that follow from these."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.candles.models import Instrument
from apps.core.ids import uuid7
from apps.orders.brokers.paper_models import PaperOrder
from apps.orders.signals import Signal
from apps.orders.states import AT_BROKER, TO_VERIFY, Intent, Kind, Side, State

__all__ = [
    "UNSETTLED",
    "Account",
    "DailyUse",
    "EventCount",
    "Fill",
    "Order",
    "PaperOrder",
    "Position",
    "amount",
    "position_id",
]


def amount(**options: Any) -> models.DecimalField[Any, Any]:
    """A column for money, a price or a quantity."""
    return models.DecimalField(max_digits=38, decimal_places=18, **options)


class Account(models.Model):
    """One row is one account of a user at an exchange, real or simulated on paper."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    name = models.CharField(max_length=64)
    #: As ccxt spells it.
    exchange = models.CharField(max_length=32)
    #: On: every order of the account is traded on paper, whatever is asked for.
    simulation = models.BooleanField(default=True)
    enabled = models.BooleanField(default=True)
    #: A key of the setting ``ORDERS_PLANS``.
    plan = models.CharField(max_length=32, default="basic")
    #: Orders a day (UTC), in the place of the plan's; null: the plan's.
    daily_limit = models.PositiveIntegerField(null=True, blank=True)
    #: Sealed (`apps.core.crypto`); empty where none was given.
    api_key = models.TextField(blank=True, editable=False)
    api_secret = models.TextField(blank=True, editable=False)
    #: The last four characters of the key, to tell it by.
    key_hint = models.CharField(max_length=4, blank=True, editable=False)
    keys_set_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "orders_account"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(name="orders_account_name", fields=["user", "name"])]

    def __str__(self) -> str:
        return f"{self.name} ({self.exchange})"


class DailyUse(models.Model):
    """One row is how many orders one account has asked for on one day (UTC), on paper or for real."""

    pk = models.CompositePrimaryKey("account_id", "day", "simulation")
    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    day = models.DateField()
    simulation = models.BooleanField()
    orders = models.PositiveIntegerField()

    class Meta:
        db_table = "orders_daily_use"

    def __str__(self) -> str:
        return f"{self.orders} on {self.day}"


class DailyRefusal(models.Model):
    """One row is how many orders one account was refused for its limit on one day, on paper or for real."""

    pk = models.CompositePrimaryKey("account_id", "day", "simulation")
    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    day = models.DateField()
    simulation = models.BooleanField()
    refused = models.PositiveIntegerField()

    class Meta:
        db_table = "orders_daily_refusal"

    def __str__(self) -> str:
        return f"{self.refused} on {self.day}"


#: Orders that have not ended, and those whose end at the broker is not verified.
UNSETTLED = Q(state__in=["accepted", "submitted", "partially_filled", "unknown"]) | Q(
    state__in=["filled", "cancelled", "expired"],
    submission_started_at__isnull=False,
    verified_at__isnull=True,
)


class Order(models.Model):
    """One row is one order: what the events of its stream ``order:<id>`` say of it."""

    class Source(models.TextChoices):
        API = "api", "API: placed by a request of its user"
        ADMIN = "admin", "Admin: placed by an operator"
        WEBHOOK = "webhook", "Webhook: asked for by a signal"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="orders")
    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="+")
    state = models.CharField(max_length=20, choices=State.choices)
    version = models.PositiveIntegerField()
    #: Whether it is traded on paper.
    simulation = models.BooleanField()
    side = models.CharField(max_length=4, choices=Side.choices)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    intent = models.CharField(max_length=8, choices=Intent.choices)
    #: In units of the base currency. Zero only where there was nothing to trade, and so it was rejected.
    quantity = amount()
    #: The limit; null for market orders.
    price = amount(null=True)
    #: The signal that it follows; empty where it was asked for as an order.
    signal = models.CharField(max_length=16, choices=Signal.choices, blank=True)
    source = models.CharField(max_length=8, choices=Source.choices)
    #: What it came from: the webhook's delivery, or the idempotency key of the request.
    source_id = models.CharField(max_length=128, blank=True)
    #: What brokers know it by.
    client_order_id = models.CharField(max_length=36)
    venue_order_id = models.CharField(max_length=64, blank=True)
    #: The close leg that has to be filled before this one is submitted.
    after = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    #: Until when that has to be; null once it is released, and for orders that wait for none.
    release_before = models.DateTimeField(null=True)
    #: The close leg may leave less than this, beside its own fees.
    flat_within = amount(null=True)
    #: When it was asked for: from then on its age counts.
    asked_at = models.DateTimeField()
    #: How often it was handed to the broker, and when the broker confirmed it.
    submissions = models.PositiveIntegerField(default=0)
    submitted_at = models.DateTimeField(null=True)
    #: When the submission began that the broker may have taken; null before it, and where it did not.
    submission_started_at = models.DateTimeField(null=True)
    #: How often the broker was asked what became of it.
    looks = models.PositiveIntegerField(default=0)
    #: How often of late, which the wait for the next look follows from.
    round_looks = models.PositiveIntegerField(default=0)
    #: How often in a row that led nowhere: too often, and a person has to look.
    fruitless_looks = models.PositiveIntegerField(default=0)
    filled = amount(default=Decimal(0))
    #: What was traded, in the quote currency.
    cost = amount(default=Decimal(0))
    #: What was traded cost so much per unit on the average; null while nothing was.
    average_price = amount(null=True)
    #: When the broker's own trades were found to be the fills that are recorded, after its end; or when a
    #: person said what its end was.
    verified_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    #: Why it is in its state: a code, and the words that came with it.
    reason_code = models.CharField(max_length=64, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    #: Whether it was returned to a request with the key of an earlier one. Not stored.
    was_there = False

    class Meta:
        db_table = "orders_order"
        # Ids are given by whoever asks for orders: they do not tell which is newer.
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(name="orders_order_client_id", fields=["client_order_id"]),
            models.CheckConstraint(
                name="orders_order_amounts",
                condition=Q(quantity__gte=0, filled__gte=0)
                & (Q(quantity__gt=0) | Q(state=State.REJECTED))
                & (Q(price__isnull=True) | Q(price__gt=0)),
            ),
            models.CheckConstraint(
                name="orders_order_price",
                condition=Q(kind=Kind.LIMIT, price__isnull=False) | Q(kind=Kind.MARKET, price__isnull=True),
            ),
        ]
        indexes = [
            models.Index(name="orders_order_account", fields=["account", "-created_at", "-id"]),
            models.Index(name="orders_order_newest", fields=["-created_at", "-id"]),
            models.Index(
                name="orders_order_working",
                fields=["account", "instrument"],
                condition=~Q(state__in=["filled", "cancelled", "rejected", "expired"]),
            ),
            models.Index(name="orders_order_after", fields=["after"], condition=Q(after__isnull=False)),
            # Those for which something has still to be done, see ``unattended.sql``.
            models.Index(name="orders_order_unsettled", fields=["state", "id"], condition=UNSETTLED),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} {self.instrument}"

    @property
    def stream(self) -> str:
        """Where its events are."""
        return f"order:{self.pk}"

    @property
    def waits(self) -> bool:
        """Whether it is held back until its close leg is filled."""
        return self.state == State.ACCEPTED and self.release_before is not None

    @property
    def to_be_looked_at(self) -> bool:
        """Whether the broker is to be asked what became of it, without a person asking for that."""
        if self.state in TO_VERIFY:
            return self.submission_started_at is not None and self.verified_at is None
        return self.state in AT_BROKER and self.state != State.NEEDS_REVIEW


class Fill(models.Model):
    """One row is one trade of an order, as the broker reported it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="fills")
    account = models.ForeignKey(Account, models.PROTECT, related_name="+")
    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="+")
    simulation = models.BooleanField()
    #: The broker's own id of the trade.
    trade_id = models.CharField(max_length=64)
    price = amount()
    quantity = amount()
    fee = amount()
    fee_currency = models.CharField(max_length=32, blank=True)
    traded_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "orders_fill"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="orders_fill_once", fields=["account", "simulation", "instrument", "trade_id"]
            ),
            models.CheckConstraint(name="orders_fill_amounts", condition=Q(price__gt=0, quantity__gt=0)),
        ]
        indexes = [models.Index(name="orders_fill_account", fields=["account", "-id"])]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f} at {self.price.normalize():f}"


class Position(models.Model):
    """One row is what one account holds of one instrument by its fills: the fold of ``position:<id>``.

    Real and on paper are two positions.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="positions")
    instrument = models.ForeignKey(Instrument, models.PROTECT, related_name="+")
    simulation = models.BooleanField()
    version = models.PositiveIntegerField()
    #: In units of the base currency, less fees taken in it; negative is short.
    quantity = amount()
    #: What was paid for it in the quote currency; negative is what was received for what is held short.
    cost = amount()
    #: The same for a unit; null while nothing is held.
    average_price = amount(null=True)
    #: Profit and loss of what was closed, in the quote currency, less fees taken in that.
    realised = amount()
    #: Fees by currency, as decimal text.
    fees = models.JSONField(default=dict)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "orders_position"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                name="orders_position_once", fields=["account", "instrument", "simulation"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f} {self.instrument}"

    @property
    def stream(self) -> str:
        """Where its events are."""
        return f"position:{self.pk}"


class EventCount(models.Model):
    """One row is how many events of one type orders have had, by what looks came to.

    Rows are written by the follower ``order_statistics``, and can be made again from events.
    """

    pk = models.CompositePrimaryKey("type", "outcome")
    type = models.CharField(max_length=64)
    #: Of ``order.looked``; empty for other types.
    outcome = models.CharField(max_length=16)
    count = models.BigIntegerField(default=0)

    class Meta:
        db_table = "orders_event_count"

    def __str__(self) -> str:
        return f"{self.count} {self.type}"


def position_id(*, account: uuid.UUID, instrument: int, simulation: bool) -> uuid.UUID:
    """The id of the one position of an account in an instrument."""
    return uuid.uuid5(account, f"{instrument}:{'paper' if simulation else 'real'}")
