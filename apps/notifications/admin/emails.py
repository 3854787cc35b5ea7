"""E-mails in the admin: to be found, looked at and sent again, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.notifications.admin.previews import PreviewAdmin, frames
from apps.notifications.kinds import all_kinds
from apps.notifications.models import Email
from apps.notifications.services import CannotResend, email_resend
from apps.notifications.states import EmailState

#: Mails that are sent again by one click.
_MOST = 500
#: Messages about single mails.
_TOLD = 20

_FIELDS = (
    "kind", "recipient", "user", "about", "state", "reason", "held_back", "created_at", "changed_at",
    "sent_at", "run", "provider_id", "subject", "preview", "text",
)  # fmt: skip


class KindFilter(admin.SimpleListFilter):
    """Mails of one kind."""

    title = parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.label) for kind in all_kinds()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(kind=self.value()) if self.value() else None


class StateFilter(admin.SimpleListFilter):
    """Mails that stand so."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in EmailState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return queryset.filter(state=self.value()) if self.value() in EmailState.values else None


@admin.register(Email)
class EmailAdmin(PreviewAdmin):
    """What was sent, and what became of it."""

    list_display = ("subject_or_kind", "recipient", "badge", "reason", "when")
    list_filter = (StateFilter, KindFilter)
    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()
    search_fields = ("recipient", "about", "subject")
    search_help_text = "Part of a recipient's address, of what it is about, or of a subject"
    fields = readonly_fields = _FIELDS
    actions = ("resend",)
    empty_value_display = ""

    class Media:
        css = {"all": ("notifications/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Email]:
        return super().get_queryset(request).select_related("user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Email | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Email | None = None) -> bool:
        return False

    @admin.display(description="subject")
    def subject_or_kind(self, email: Email) -> str:
        """What it is called, also while it could not be written."""
        return email.subject or email.kind

    @admin.display(description="asked for, sent (UTC)")
    def when(self, email: Email) -> SafeString:
        """When it was asked for and, under that, when it was taken."""
        return format_html(
            '{}<div class="mail-under">{}</div>',
            f"{email.created_at:%Y-%m-%d %H:%M:%S}",
            "" if email.sent_at is None else f"{email.sent_at:%Y-%m-%d %H:%M:%S}",
        )

    @admin.display(description="state")
    def badge(self, email: Email) -> SafeString:
        """The state in its colour."""
        return format_html(
            '<span class="mail-badge mail-{}" title="{}">{}</span>',
            email.state, EmailState(email.state).label, email.state,
        )  # fmt: skip

    @admin.display(description="run")
    def run(self, email: Email) -> SafeString | str:
        """What sends it, with every attempt."""
        if email.task_run is None:
            return ""
        address = reverse("admin:tasks_taskrun_change", args=[email.task_run])
        return format_html('<a href="{}">{}</a>', address, email.task_run)

    @admin.display(description="text")
    def text(self, email: Email) -> SafeString:
        """The part that is plain text."""
        return format_html('<pre class="mail-text">{}</pre>', email.body)

    @admin.display(description="HTML, light and dark")
    def preview(self, email: Email) -> SafeString | str:
        """The part that is HTML."""
        return frames(email.html)

    @admin.action(description="Send again", permissions=["operate"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Email]) -> None:
        """Redrive the runs of mails that were given up."""
        done, refused = 0, []
        for email in queryset[:_MOST]:
            try:
                email_resend(email=email, actor=f"user:{request.user.pk}")
                done += 1
            except CannotResend as exc:
                refused.append(f"{email}: {exc}.")
        if done:
            self.message_user(request, f"{done} on the way again.", messages.SUCCESS)
        for line in refused[:_TOLD]:
            self.message_user(request, line, messages.WARNING)
        if len(refused) > _TOLD:
            self.message_user(request, f"And {len(refused) - _TOLD:,} more like these.", messages.WARNING)
