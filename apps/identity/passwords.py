"""Passwords that are set anywhere (admin, command, script) end logins, as they end sessions of Django.

Not those that are written past `save`, nor a ready-made hash that is saved as the only field: so is the same
password when whoever has checked it hashes it anew.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models.signals import post_save, pre_save

from apps.identity import services


def connect() -> None:
    """Look at every user that is saved."""
    user = get_user_model()
    pre_save.connect(_look, sender=user, dispatch_uid="identity.passwords.look")
    post_save.connect(_end, sender=user, dispatch_uid="identity.passwords.end")


def _look(instance: Any, raw: bool = False, update_fields: Collection[str] | None = None, **_: Any) -> None:
    written = update_fields is None or "password" in update_fields
    instance._ends_logins = (
        written and not raw and not instance._state.adding and _is_another(instance, update_fields)
    )


def _is_another(user: Any, update_fields: Collection[str] | None) -> bool:
    """Whether the password is to be another than the stored one."""
    if user._password is not None:
        return True
    if update_fields is not None and user.has_usable_password():
        # The same one, hashed anew by who has checked it.
        return False
    stored = get_user_model()._default_manager.filter(pk=user.pk)
    return stored.exclude(password=user.password).exists()


def _end(instance: Any, **_: Any) -> None:
    if instance.__dict__.pop("_ends_logins", False) and not instance.__dict__.pop("logins_stay", False):
        services.password_was_set(user=instance)
