"""What the rows that operators make have in common."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from apps.core.admin.described import DescribedAdmin


class OperatedAdmin(DescribedAdmin):
    """Rows that are made, changed and deleted by whoever may operate them, each by its service.

    To be given a ``delete_model``.
    """

    sortable_by = ()

    class Media:
        css = {"all": ("ratelimits/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_operate_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """One by one, so that the audit is told of each."""
        for one in queryset:
            self.delete_model(request, one)


def actor(request: HttpRequest) -> str:
    """Who does it, as the audit has it."""
    return f"user:{request.user.pk}"
