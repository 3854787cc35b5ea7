"""What verifying the chain came to, in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.audit.models import Verification
from apps.core.admin.described import DescribedAdmin, Tone, badge, moment
from apps.core.admin.filters import aged, yes_or_no


@admin.register(Verification)
class VerificationAdmin(DescribedAdmin):
    """All looks at the chain, the last first."""

    comes = "The chain is verified every night, when somebody asks for it here, and on the command line."
    list_filter = (yes_or_no("found", "found something", findings__gt=0), aged("finished_at"))
    sortable_by = ()
    actions = None
    list_display = ("ended", "first", "through", "findings", "result", "took")
    fields = ("first", "through", "head", "findings", "shown_lines", "accepted", "started_at", "finished_at")
    readonly_fields = ("head", "shown_lines")

    @admin.display(description="finished (UTC)")
    def ended(self, look: Verification) -> SafeString | str:
        """When."""
        return moment(look.finished_at)

    @admin.display(description="result")
    def result(self, look: Verification) -> SafeString:
        """Whether the chain is sound as far as it was looked at."""
        if not look.findings:
            return badge("sound", Tone.GOOD)
        return badge("accepted", Tone.LATE) if look.accepted else badge("broken", Tone.BAD)

    @admin.display(description="took")
    def took(self, look: Verification) -> str:
        """In seconds."""
        return f"{(look.finished_at - look.started_at).total_seconds():.1f} s"

    @admin.display(description="head's hash")
    def head(self, look: Verification) -> str:
        return bytes(look.hash).hex()

    @admin.display(description="shown")
    def shown_lines(self, look: Verification) -> str:
        """The first findings, a line each."""
        return "\n".join(look.shown)
