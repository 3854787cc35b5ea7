"""What the paper broker remembers."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.core.ids import uuid7
from apps.orders.states import Kind, Side, State


class PaperOrder(models.Model):
    """One row is one order that the paper broker took, as an exchange would have it.

    It is open until a stored minute fills it in whole, it is cancelled, or it is too late for that.
    """

    STATES = (State.SUBMITTED, State.FILLED, State.CANCELLED, State.REJECTED, State.EXPIRED)

    #: What the broker calls it.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account = models.ForeignKey("orders.Account", models.PROTECT, related_name="+")
    instrument = models.ForeignKey("candles.Instrument", models.PROTECT, related_name="+")
    client_order_id = models.CharField(max_length=36)
    state = models.CharField(
        max_length=20,
        choices=[(state.value, state.label) for state in STATES],
        default=State.SUBMITTED,
    )
    side = models.CharField(max_length=4, choices=Side.choices)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    #: In units of the base currency.
    quantity = models.DecimalField(max_digits=38, decimal_places=18)
    #: The limit; null for market orders.
    price = models.DecimalField(max_digits=38, decimal_places=18, null=True)
    #: Minutes that open earlier do not fill it.
    placed_at = models.DateTimeField()
    #: What it was filled at, less slippage, and the fee for that, in the quote currency; null until then.
    fill_price = models.DecimalField(max_digits=38, decimal_places=18, null=True)
    fee = models.DecimalField(max_digits=38, decimal_places=18, null=True)
    #: When the minute opens that filled it.
    filled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "orders_paper_order"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="orders_paper_order_once", fields=["account", "client_order_id"]),
            models.CheckConstraint(
                name="orders_paper_order_amounts",
                condition=Q(quantity__gt=0) & (Q(price__isnull=True) | Q(price__gt=0)),
            ),
            models.CheckConstraint(
                name="orders_paper_order_fill",
                condition=Q(state=State.FILLED, fill_price__gt=0, fee__gte=0, filled_at__isnull=False)
                | (
                    ~Q(state=State.FILLED)
                    & Q(fill_price__isnull=True, fee__isnull=True, filled_at__isnull=True)
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} {self.client_order_id}"
