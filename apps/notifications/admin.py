from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from apps.notifications.models import Email


@admin.register(Email)
class EmailAdmin(admin.ModelAdmin[Email]):
    """E-mails, to be looked at."""

    list_display = ("id", "kind", "recipient", "subject", "created_at", "sent_at")
    list_filter = ("kind",)
    search_fields = ("recipient", "about")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Email | None = None) -> bool:
        return False
