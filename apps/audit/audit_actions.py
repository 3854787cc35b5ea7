"""The actions that the audit itself makes entries of."""

from __future__ import annotations

from apps.audit.actions import Action, Level, register

LOGIN_SUCCEEDED = register(Action(name="login.succeeded", label="Signed in", object_type="auth.user"))
LOGIN_FAILED = register(
    Action(name="login.failed", label="Tried to sign in", object_type="auth.user", level=Level.NOTICE)
)
LOGOUT = register(Action(name="logout", label="Signed out", object_type="auth.user"))

API_WRITE = register(Action(name="api.write", label="Wrote over the API"))
ADMIN_WRITE = register(Action(name="admin.write", label="Sent a form of the admin"))
ADMIN_ADDED = register(Action(name="admin.added", label="Added in the admin", level=Level.NOTICE))
ADMIN_CHANGED = register(Action(name="admin.changed", label="Changed in the admin", level=Level.NOTICE))
ADMIN_DELETED = register(Action(name="admin.deleted", label="Deleted in the admin", level=Level.NOTICE))

AUDIT_PRUNED = register(
    Action(
        name="audit.pruned",
        label="Moved old entries into a file",
        object_type="audit.entry",
        level=Level.NOTICE,
    )
)
AUDIT_BROKEN = register(
    Action(
        name="audit.broken",
        label="Found the audit's chain broken",
        object_type="audit.entry",
        level=Level.WARNING,
    )
)
AUDIT_ACCEPTED = register(
    Action(
        name="audit.accepted",
        label="Accepted a broken chain",
        object_type="audit.entry",
        level=Level.WARNING,
    )
)
