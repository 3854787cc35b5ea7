"""What Django's admin writes into its own log becomes entries, too."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry, LogEntryManager
from django.contrib.contenttypes.models import ContentType

from apps.audit import audit_actions
from apps.audit.recording import record_many

_ACTIONS = {
    ADDITION: audit_actions.ADMIN_ADDED,
    CHANGE: audit_actions.ADMIN_CHANGED,
    DELETION: audit_actions.ADMIN_DELETED,
}


def connect() -> None:
    """Make entries of what the admin logs from now on: part of the transaction that logs it.

    Every page and action of the admin logs through this one function, one object or many; of many no signal
    is sent.
    """
    inherited = LogEntryManager.log_actions
    if hasattr(inherited, "__wrapped__"):
        return

    @wraps(inherited)
    def log_actions(self: LogEntryManager, *args: Any, **kwargs: Any) -> Any:
        logged = inherited(self, *args, **kwargs)
        _record([logged] if isinstance(logged, LogEntry) else logged)
        return logged

    LogEntryManager.log_actions = log_actions  # type: ignore[method-assign]


def _record(logged: list[LogEntry]) -> None:
    record_many(
        [
            {
                "action": _ACTIONS[one.action_flag].name,
                "object_type": _type_of(one),
                "object_id": one.object_id,
                "actor": f"user:{one.user_id}",
                "detail": {"object": one.object_repr, "message": one.get_change_message()},
            }
            for one in logged
        ]
    )


def _type_of(logged: LogEntry) -> str:
    if logged.content_type_id is None:
        return ""
    kind = ContentType.objects.get_for_id(logged.content_type_id)
    return f"{kind.app_label}.{kind.model}"
