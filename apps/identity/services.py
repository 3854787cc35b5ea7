"""What is done to keys, logins and passwords."""

from __future__ import annotations

from apps.identity.keys import (
    LONGEST_OVERLAP,
    InvalidKey,
    Issued,
    NotAKey,
    key_check,
    key_create,
    key_revoke,
    key_rotate,
    key_update,
)
from apps.identity.logins import (
    PasswordChanged,
    login_begin,
    login_end,
    logins_end,
    password_change,
    password_was_set,
)

__all__ = [
    "LONGEST_OVERLAP",
    "InvalidKey",
    "Issued",
    "NotAKey",
    "PasswordChanged",
    "key_check",
    "key_create",
    "key_revoke",
    "key_rotate",
    "key_update",
    "login_begin",
    "login_end",
    "logins_end",
    "password_change",
    "password_was_set",
]
