"""Who signed in and out, and who tried to: by session, by token, and by name and password in a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from apps.audit import audit_actions, values
from apps.audit.recording import record_afterwards
from apps.core import context

_USERNAME = 150


def connect() -> None:
    """Make entries of logins from now on."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit.logins")
    user_logged_out.connect(_logged_out, dispatch_uid="audit.logins")
    user_login_failed.connect(_login_failed, dispatch_uid="audit.logins")


def _logged_in(sender: object, request: Any, user: Any, **_: object) -> None:
    _record(audit_actions.LOGIN_SUCCEEDED.name, request, user)


def _logged_out(sender: object, request: Any, user: Any, **_: object) -> None:
    # Signing out without having signed in is nothing.
    if user is not None and user.pk is not None:
        _record(audit_actions.LOGOUT.name, request, user)


def _login_failed(sender: object, credentials: Mapping[str, Any], request: Any = None, **_: object) -> None:
    if not _is_answering():
        return
    name = credentials.get("username") or next(
        (value for key, value in credentials.items() if key != "password" and isinstance(value, str)), ""
    )
    record_afterwards(
        action=audit_actions.LOGIN_FAILED.name,
        outcome="refused",
        actor="",
        detail={"username": values.line(name, _USERNAME), "path": _path(request)},
    )


def _record(action: str, request: Any, user: Any) -> None:
    if not _is_answering():
        return
    record_afterwards(
        action=action,
        actor=f"user:{user.pk}",
        object_id=user.pk,
        detail={"username": values.line(user.get_username(), _USERNAME), "path": _path(request)},
    )


def _is_answering() -> bool:
    """Whether a request is being answered. Sessions that scripts and tests make are nobody's deed."""
    return bool(context.known().request_id)


def _path(request: Any) -> str:
    return str(getattr(request, "path", ""))
