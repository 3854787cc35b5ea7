"""The filters of the list of entries. None of them reads more of the table than it shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest

from apps.audit import actions
from apps.audit.models import Entry

_PERIOD = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?")


def span(period: str) -> tuple[datetime, datetime] | None:
    """Beginning and end of a year, month or day (``2026``, ``2026-11``, ``2026-11-27``); None for no such."""
    found = _PERIOD.fullmatch(period)
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        begin = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        if day is not None:
            return begin, begin + timedelta(days=1)
        if month is not None:
            return begin, (begin + timedelta(days=31)).replace(day=1)
        return begin, begin.replace(year=begin.year + 1)
    except (ValueError, OverflowError):
        return None


class PeriodFilter(admin.SimpleListFilter):
    """Years, in a year its months, in a month its days: counted out, where Django would search the table."""

    title = "when (UTC)"
    parameter_name = "period"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ends = Entry.objects.aggregate(first=Min("occurred_at"), last=Max("occurred_at"))
        if ends["first"] is None:
            return []
        chosen = self.value() or ""
        values = [""] if span(chosen) is None else [chosen[:4], chosen[:7]]
        within = [value for value in dict.fromkeys(values) if value]
        periods = [*within, *self._parts(chosen)]
        return [
            (period, period)
            for period in dict.fromkeys(periods)
            if (found := span(period)) and found[0] <= ends["last"] and found[1] > ends["first"]
        ]

    def _parts(self, chosen: str) -> list[str]:
        found = span(chosen)
        if found is None:
            return [str(year) for year in range(datetime.now(UTC).year, 2000, -1)]
        if len(chosen) == 4:
            return [f"{chosen}-{month:02}" for month in range(1, 13)]
        return [f"{chosen[:7]}-{day:02}" for day in range(1, 32)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        found = span(self.value() or "")
        if found is None:
            return queryset
        return queryset.filter(occurred_at__gte=found[0], occurred_at__lt=found[1])


class ActionFilter(admin.SimpleListFilter):
    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.name, one.name) for one in actions.all_actions()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class OutcomeFilter(admin.SimpleListFilter):
    title = parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.value, one.value) for one in Entry.Outcome]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        return queryset.filter(outcome=self.value()) if self.value() else queryset
