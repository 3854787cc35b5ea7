"""Suppressed addresses in the admin: to be looked at and lifted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, Tone, badge, moment, stacked
from apps.core.admin.filters import aged
from apps.notifications.addresses import suppression_lift
from apps.notifications.models import SuppressedAddress


class StandingFilter(admin.SimpleListFilter):
    """Those that stand, unless others are asked for."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "nothing is sent"), ("no", "lifted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() not in ("yes", "no"):
            return None
        return queryset.filter(lifted_at__isnull=self.value() == "yes")


@admin.register(SuppressedAddress)
class SuppressedAddressAdmin(DescribedAdmin):
    """Addresses from which mail came back."""

    comes = "An address from which mail comes back for good is written to no more, until that is lifted."
    list_display = ("address", "stands", "reason", "made", "lifted")
    list_filter = (StandingFilter, aged("created_at", "in the last"))
    sortable_by = ()
    search_fields = ("address", "reason")
    fields = readonly_fields = ("address", "reason", "email", "created_at", "lifted_at", "lifted_by")
    actions = ("lift",)

    @admin.display(description="state")
    def stands(self, suppression: SuppressedAddress) -> SafeString:
        """Whether nothing is sent there."""
        return badge("lifted", Tone.OVER) if suppression.lifted_at else badge("nothing is sent", Tone.LATE)

    @admin.display(description="made (UTC)")
    def made(self, suppression: SuppressedAddress) -> SafeString | str:
        """When."""
        return moment(suppression.created_at)

    @admin.display(description="lifted (UTC), by")
    def lifted(self, suppression: SuppressedAddress) -> SafeString | str:
        """When, and by whom."""
        return stacked(moment(suppression.lifted_at), suppression.lifted_by) if suppression.lifted_at else ""

    @admin.action(description="Send to these addresses again", permissions=["operate"])
    def lift(self, request: HttpRequest, queryset: QuerySet[SuppressedAddress]) -> None:
        """Lift those that stand."""
        actor = f"user:{request.user.pk}"
        done = sum(suppression_lift(suppression=one, actor=actor) for one in queryset)
        self.message_user(request, f"{done} lifted.", messages.SUCCESS if done else messages.WARNING)
