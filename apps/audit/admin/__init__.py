"""The admin pages of the audit."""

from __future__ import annotations

from apps.audit.admin.entries import EntryAdmin
from apps.audit.admin.verifications import VerificationAdmin

__all__ = ["EntryAdmin", "VerificationAdmin"]
