"""Fills in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, stacked
from apps.orders.admin.shown import ModeFilter, amount, at, link, mode
from apps.orders.models import Fill
from apps.core.admin.paging import BoundedPaginator


@admin.register(Fill)
class FillAdmin(DescribedAdmin):
    """Trades of orders, as brokers reported them."""

    list_display = ("trade", "what", "fee_shown", "whose", "of_order", "when")
    list_filter = (ModeFilter, "account__exchange")
    list_select_related = ("order", "account__user", "instrument")
    sortable_by = ()
    search_fields = ("trade_id", "order__id", "instrument__symbol", "account__name")
    search_help_text = "Part of a trade's or an order's id, of a symbol, or of an account's name"
    fields = readonly_fields = (
        "id", "of_order", "whose", "instrument", "simulation", "trade_id", "price", "quantity", "fee",
        "fee_currency", "traded_at", "recorded_at",
    )  # fmt: skip
    paginator = BoundedPaginator

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
        return stacked(fill.account.name, fill.account.user)

    @admin.display(description="order")
    def of_order(self, fill: Fill) -> SafeString:
        """A link to it."""
        return link("order", fill.order_id, f"…{str(fill.order_id)[-12:]}")

    @admin.display(description="traded, recorded (UTC)")
    def when(self, fill: Fill) -> SafeString:
        """When."""
        return stacked(at(fill.traded_at), at(fill.recorded_at))
