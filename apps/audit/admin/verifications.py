"""What verifying the chain came to, in the admin."""

from __future__ import annotations

from django.contrib import admin

from apps.audit.models import Verification
from apps.core.admin.described import DescribedAdmin


@admin.register(Verification)
class VerificationAdmin(DescribedAdmin):
    """All looks at the chain, the last first."""

    sortable_by = ()
    actions = None
    list_display = ("finished_at", "first", "through", "findings", "accepted", "took")
    fields = ("first", "through", "head", "findings", "shown_lines", "accepted", "started_at", "finished_at")
    readonly_fields = ("head", "shown_lines")

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
