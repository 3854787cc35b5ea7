"""Filters of lists whose choices are known beforehand: none of them asks the table which values it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.core.ids import first_of

_AGES = {
    "1h": ("hour", timedelta(hours=1)),
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}


def aged(field: str, title: str = "in the last") -> type[admin.SimpleListFilter]:
    """A filter for rows of the last hour, day, week or month by *field*: a time, or an id of version 7."""

    class AgeFilter(admin.SimpleListFilter):
        parameter_name = "age"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(key, name) for key, (name, _) in _AGES.items()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
            age = _AGES.get(self.value() or "")
            if age is None:
                return None
            since = timezone.now() - age[1]
            by_id = queryset.model._meta.get_field(field).get_internal_type() == "UUIDField"
            return queryset.filter(**{f"{field}__gte": first_of(since) if by_id else since})

    AgeFilter.title = title
    return AgeFilter


def among(
    parameter: str,
    values: Callable[[], Iterable[tuple[str, str]]],
    *,
    field: str = "",
    title: str = "",
) -> type[admin.SimpleListFilter]:
    """A filter for rows whose *field*, called like the parameter if not otherwise, is one of *values*.

    *values* gives each with its name.
    """

    class AmongFilter(admin.SimpleListFilter):
        parameter_name = parameter

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return list(values())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
            value = self.value()
            return queryset.filter(**{field or parameter: value}) if value in dict(values()) else None

    AmongFilter.title = title or parameter
    return AmongFilter


def yes_or_no(parameter: str, title: str, **condition: Any) -> type[admin.SimpleListFilter]:
    """A filter for rows of which *condition* is true, or is not."""

    class YesNoFilter(admin.SimpleListFilter):
        parameter_name = parameter

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [("yes", "yes"), ("no", "no")]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
            if self.value() == "yes":
                return queryset.filter(**condition)
            return queryset.exclude(**condition) if self.value() == "no" else None

    YesNoFilter.title = title
    return YesNoFilter
