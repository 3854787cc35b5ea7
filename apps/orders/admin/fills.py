"""Fills in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, stacked
from apps.core.admin.exporting import csv_of
from apps.core.admin.filters import aged
from apps.orders.admin.shown import EXCHANGE, ModeFilter, amount, at, link, mode, traded_by
from apps.orders.models import Fill


@admin.register(Fill)
class FillAdmin(DescribedAdmin):
    """Trades of orders, as brokers reported them."""

    list_display = ("trade", "what", "fee_shown", "whose", "of_order", "when")
    comes = "What brokers report as traded of orders, on paper or for real, is told here trade by trade."
    id_fields = ("pk", "order_id")
    list_filter = (ModeFilter, EXCHANGE, aged("id", "recorded in the last"))
    list_select_related = ("order", "account__user", "instrument")
    sortable_by = ()
    search_fields = ("trade_id",)
    search_help_text = (
        "The id of a fill, an order or a trade; part of a symbol, an account's or a user's name"
    )
    actions = ("export",)
    export = csv_of(
        "id", "traded_at", "account", "instrument", "order_id", "trade_id", "price", "quantity", "fee",
        "fee_currency", "simulation",
    )  # fmt: skip
    fields = readonly_fields = (
        "id", "of_order", "whose", "instrument", "simulation", "trade_id", "price", "quantity", "fee",
        "fee_currency", "traded_at", "recorded_at",
    )  # fmt: skip

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one account, where its page leads."""
        return lookup == "account__id__exact" or super().lookup_allowed(lookup, value, request)

    def search_words(
        self, request: HttpRequest, queryset: QuerySet[Fill], term: str
    ) -> tuple[QuerySet[Fill], bool]:
        return queryset.filter(Q(trade_id=term) | traded_by(term)), False

    @admin.display(description="trade")
    def trade(self, fill: Fill) -> SafeString:
        """The broker's id, and under it whether it is one."""
        return stacked(fill.trade_id, mode(fill.simulation))

    @admin.display(description="what was traded")
    def what(self, fill: Fill) -> SafeString:
        """Side, quantity and instrument, and under it the price."""
        head = f"{fill.order.side} {amount(fill.quantity)} {fill.instrument.text}"
        return stacked(head, f"at {amount(fill.price)}")

    @admin.display(description="fee")
    def fee_shown(self, fill: Fill) -> str:
        """With its currency."""
        return f"{amount(fill.fee)} {fill.fee_currency}" if fill.fee else ""

    @admin.display(description="account, user")
    def whose(self, fill: Fill) -> SafeString:
        """The account, and under it whose it is."""
        return stacked(link("account", fill.account_id, fill.account.name), fill.account.user)

    @admin.display(description="order")
    def of_order(self, fill: Fill) -> SafeString:
        """A link to it."""
        return link("order", fill.order_id, f"…{str(fill.order_id)[-12:]}")

    @admin.display(description="traded, recorded (UTC)")
    def when(self, fill: Fill) -> SafeString:
        """When."""
        return stacked(at(fill.traded_at), at(fill.recorded_at))
