"""Filters of the lists, whose choices cost no query that grows with the rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.candles.models import Instrument
from apps.candles.quality import Reason

ORIGINS = ("backfill", "sync", "repair", "upload", "import")


class ExchangeFilter(admin.SimpleListFilter):
    """Rows of instruments of one exchange."""

    title = parameter_name = "exchange"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Instrument.objects.order_by("exchange").values_list("exchange", flat=True).distinct()
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(instrument__exchange=self.value()) if self.value() else None


class ReasonFilter(admin.SimpleListFilter):
    """Rows that were rejected for one reason."""

    title = parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason.value, reason.value.replace("_", " ")) for reason in Reason]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(reason=self.value()) if self.value() in list(Reason) else None


class OriginFilter(admin.SimpleListFilter):
    """Rows that came in one way."""

    title = parameter_name = "origin"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(origin, origin) for origin in ORIGINS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        origin = self.value()
        if origin not in ORIGINS:
            return None
        return queryset.filter(Q(origin=origin) | Q(origin__startswith=f"{origin}:"))
