"""Users and groups in the admin: Django's pages, with who may do what and who has not come for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.core.admin.described import LeadingAdmin, Place, Tone, badge, list_link, moment, stacked
from apps.core.admin.filters import aged, among, yes_or_no
from apps.core.admin.paging import BoundedPaginator

User = get_user_model()


def _groups() -> list[tuple[str, str]]:
    return [(str(pk), name) for pk, name in Group.objects.order_by("name").values_list("pk", "name")]


class UserAdmin(LeadingAdmin, DjangoUserAdmin[Any]):
    """Users with their standing; and where else each is met."""

    comes = "Users are added here."
    list_display = ("name", "email", "standing", "in_groups", "came", "joined")
    list_filter = (
        "is_active",
        "is_staff",
        "is_superuser",
        among("group", _groups, field="groups"),
        aged("last_login", "logged in within the last"),
        yes_or_no("never", "never logged in", last_login=None),
    )
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    paginator = BoundedPaginator
    ordering = ("username",)
    search_help_text = "Part of a user's name or e-mail address"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("groups")

    def places(self, row: Any) -> Sequence[Place]:
        """What they did, and what is theirs."""
        name = row.get_username()
        return (
            Place("audit_entry", "what they did", {"actor": f"user:{row.pk}"}),
            Place("orders_account", "accounts", {"q": name}),
            Place("orders_order", "orders", {"q": name}),
            Place("backtests_backtest", "backtests", {"q": name}),
            Place("liveness_workersession", "worker sessions", {"q": name}),
            Place("notifications_email", "e-mails", {"q": row.email}),
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is None or not vars(obj).get("elsewhere"):
            return found
        return (*found, ("See also", {"fields": ("elsewhere",)}))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_readonly_fields(request, obj)
        return found if obj is None else (*found, "elsewhere")

    @admin.display(description="user", ordering="username")
    def name(self, user: Any) -> SafeString:
        """The name to log in with, and under it the other one."""
        return stacked(user.get_username(), user.get_full_name())

    @admin.display(description="standing")
    def standing(self, user: Any) -> SafeString:
        """What sets them apart."""
        marks = []
        if not user.is_active:
            marks.append(badge("inactive", Tone.OVER, "Cannot log in"))
        if user.is_superuser:
            marks.append(badge("superuser", Tone.LATE, "May do everything"))
        elif user.is_staff:
            marks.append(badge("staff", Tone.WAIT, "May open the admin"))
        return format_html_join(" ", "{}", ((mark,) for mark in marks))

    @admin.display(description="groups")
    def in_groups(self, user: Any) -> str:
        """By name."""
        return ", ".join(group.name for group in user.groups.all())

    @admin.display(description="logged in last (UTC)", ordering="last_login")
    def came(self, user: Any) -> SafeString | str:
        """When."""
        return moment(user.last_login) or "never"

    @admin.display(description="joined (UTC)", ordering="date_joined")
    def joined(self, user: Any) -> SafeString | str:
        """When."""
        return moment(user.date_joined)


class GroupAdmin(DjangoGroupAdmin):
    """Groups with how many are in them and how much they may."""

    comes = "Groups give their members permissions; accounts of operators are best put into some."
    list_display = ("name", "members", "permission_count")
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        counts = {"users": Count("user", distinct=True), "granted": Count("permissions", distinct=True)}
        found: QuerySet[Any] = super().get_queryset(request).annotate(**counts)
        return found

    @admin.display(description="members", ordering="users")
    def members(self, group: Any) -> SafeString:
        """Leads to them."""
        return list_link("auth_user", f"{group.users:,}", group=group.pk)

    @admin.display(description="permissions", ordering="granted")
    def permission_count(self, group: Any) -> str:
        """How many."""
        return f"{group.granted:,}"


admin.site.unregister(User)
admin.site.register(User, UserAdmin)
admin.site.unregister(Group)
admin.site.register(Group, GroupAdmin)
