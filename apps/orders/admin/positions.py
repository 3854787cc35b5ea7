"""Positions in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, LeadingAdmin, Place, stacked
from apps.core.admin.exporting import csv_of
from apps.orders.admin.shown import EXCHANGE, ModeFilter, amount, at, link, mode, traded_by
from apps.orders.models import Position


class HeldFilter(admin.SimpleListFilter):
    """Long, short, or flat."""

    title = parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("long", "long"), ("short", "short"), ("flat", "flat")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        conditions = {"long": {"quantity__gt": 0}, "short": {"quantity__lt": 0}, "flat": {"quantity": 0}}
        condition = conditions.get(self.value() or "")
        return None if condition is None else queryset.filter(**condition)


@admin.register(Position)
class PositionAdmin(LeadingAdmin, DescribedAdmin):
    """What accounts hold by their fills."""

    list_display = ("what", "held", "realised_shown", "fees_shown", "whose", "changed")
    comes = "The first fill of an account and an instrument opens a position; it stays when it is flat."
    list_filter = (HeldFilter, ModeFilter, EXCHANGE)
    list_select_related = ("account__user", "instrument")
    sortable_by = ()
    ordering = ("-updated_at", "-id")
    search_fields = ("id",)
    search_help_text = "A position's id, or part of a symbol, an account's or a user's name"
    actions = ("export",)
    export = csv_of(
        "id", "account", "instrument", "simulation", "quantity", "average_price", "cost", "realised",
        "updated_at",
    )  # fmt: skip
    fields = readonly_fields = (
        "id", "whose", "instrument", "simulation", "quantity", "cost", "average_price", "realised",
        "fees_shown", "updated_at", "elsewhere",
    )  # fmt: skip

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one account, where its page leads."""
        return lookup == "account__id__exact" or super().lookup_allowed(lookup, value, request)

    def search_words(
        self, request: HttpRequest, queryset: QuerySet[Position], term: str
    ) -> tuple[QuerySet[Position], bool]:
        return queryset.filter(traded_by(term)), False

    def places(self, row: Any) -> Sequence[Place]:
        """Everything that changed it."""
        return (Place("events_event", "its events", {"q": f"position:{row.pk}"}),)

    @admin.display(description="instrument")
    def what(self, position: Position) -> SafeString:
        """What is held, and under it whether really."""
        return stacked(position.instrument.text, mode(position.simulation))

    @admin.display(description="held, average price")
    def held(self, position: Position) -> SafeString:
        """How much, and under it what a unit of it cost."""
        return stacked(amount(position.quantity), amount(position.average_price))

    @admin.display(description="realised")
    def realised_shown(self, position: Position) -> str:
        """With its currency."""
        return f"{amount(position.realised)} {position.instrument.quote}"

    @admin.display(description="fees")
    def fees_shown(self, position: Position) -> SafeString:
        """By currency."""
        return format_html_join("", "<div>{} {}</div>", ((fee, name) for name, fee in position.fees.items()))

    @admin.display(description="account, user")
    def whose(self, position: Position) -> SafeString:
        """The account, and under it whose it is."""
        return stacked(link("account", position.account_id, position.account.name), position.account.user)

    @admin.display(description="changed (UTC)")
    def changed(self, position: Position) -> SafeString | str:
        """When last."""
        return at(position.updated_at)
