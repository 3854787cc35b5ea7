"""E-mails in the admin: to be found, looked at and sent again, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import MOST, Tone, badge, moment, run_link, stacked
from apps.core.admin.filters import aged, among
from apps.notifications.admin.previews import PreviewAdmin, frames, styled_by
from apps.notifications.kinds import all_kinds
from apps.notifications.models import Email
from apps.notifications.services import CannotResend, email_resend
from apps.notifications.states import EmailState

_TONES = {
    EmailState.REQUESTED: Tone.WAIT,
    EmailState.SENT: Tone.GOOD,
    EmailState.REFUSED: Tone.BAD,
    EmailState.BOUNCED: Tone.BAD,
    EmailState.FAILED: Tone.BAD,
    EmailState.SUPPRESSED: Tone.OVER,
}

_FIELDS = (
    "kind", "recipient", "user", "about", "state", "reason", "held_back", "created_at", "changed_at",
    "sent_at", "unanswered", "run", "provider_id", "emptied_at", "subject", "preview", "text",
)  # fmt: skip


@admin.register(Email)
class EmailAdmin(PreviewAdmin):
    """What was sent, and what became of it."""

    list_display = ("subject_or_kind", "recipient", "state_badge", "reason", "when")
    comes = "Mails are asked for by what happens: orders that trade, workers that fail, backtests that end."
    id_fields = ("pk", "task_run")
    list_filter = (
        among("state", lambda: [(state.value, state.value) for state in EmailState]),
        among("kind", lambda: [(kind.name, kind.label) for kind in all_kinds()]),
        aged("created_at", "asked for in the last"),
    )
    sortable_by = ()
    search_fields = ("recipient", "about", "subject")
    search_help_text = (
        "A mail's or its run's id; part of a recipient's address, of what it is about, of a subject"
    )
    fields = readonly_fields = _FIELDS
    actions = ("resend",)

    class Media:
        css = {"all": ("notifications/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Email]:
        return super().get_queryset(request).select_related("user")

    @admin.display(description="subject")
    def subject_or_kind(self, email: Email) -> str:
        """What it is called, also while it could not be written."""
        return email.subject or email.kind

    @admin.display(description="asked for, sent (UTC)")
    def when(self, email: Email) -> SafeString:
        """When it was asked for and, under that, when it was taken."""
        return stacked(moment(email.created_at), moment(email.sent_at))

    @admin.display(description="state")
    def state_badge(self, email: Email) -> SafeString:
        """The state in its colour."""
        state = EmailState(email.state)
        return badge(state.value, _TONES[state], state.label)

    @admin.display(description="run")
    def run(self, email: Email) -> SafeString | str:
        """What sends it, with every attempt."""
        return "" if email.task_run is None else run_link(email.task_run, str(email.task_run))

    @admin.display(description="text")
    def text(self, email: Email) -> SafeString:
        """The part that is plain text."""
        return format_html('<pre class="mail-text">{}</pre>', email.body)

    @admin.display(description="HTML, light and dark")
    def preview(self, email: Email) -> SafeString | str:
        """The part that is HTML."""
        return frames(email.html)

    def render_change_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        email: Email | None = kwargs.get("obj")
        page = super().render_change_form(request, *args, **kwargs)
        return page if email is None else styled_by(page, email.html)

    @admin.action(description="Send again", permissions=["operate"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Email]) -> None:
        """Redrive the runs of mails that were given up."""
        done, refused = 0, []
        for email in queryset[:MOST]:
            try:
                email_resend(email=email, actor=f"user:{request.user.pk}")
                done += 1
            except CannotResend as exc:
                refused.append(f"{email}: {exc}.")
        if done:
            self.message_user(request, f"{done} on the way again.", messages.SUCCESS)
        self.tell_each(request, refused)
