"""Logins: begun, ended one by one and all together; and passwords, whose change ends the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model, logout, update_session_auth_hash
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apps import audit
from apps.identity import selectors
from apps.identity.keys import Issued
from apps.identity.models import ApiKey


class PasswordChanged(Exception):
    """The password that a user was verified by is another by now."""


@transaction.atomic
def login_begin(*, user: Any, request: HttpRequest) -> Issued:
    """Make a login token for *user*, who has just been verified. Raises `PasswordChanged`."""
    # Whoever sets a password ends the logins that are there then: this is one of them, or finds it set.
    users = get_user_model()._default_manager.select_for_update(no_key=True)
    if not users.filter(pk=user.pk, password=user.password).exists():
        raise PasswordChanged
    key, token = ApiKey.objects.create(user)
    user_logged_in.send(sender=type(user), request=request, user=user)
    return Issued(key=key, token=token)


@transaction.atomic
def login_end(*, user: Any, request: HttpRequest, credential: ApiKey | None) -> None:
    """End the login that the request came with: its token, or its session."""
    if credential is None:
        # Of a request with name and password there is nothing to end.
        if request.session.session_key:
            logout(request)
        return
    ApiKey.objects.filter(pk=credential.pk).update(revoked_at=timezone.now())
    user_logged_out.send(sender=type(user), request=request, user=user)


@transaction.atomic
def logins_end(*, user: Any, by: str) -> int:
    """End all logins and sessions of *user*. Keys stay. Returns how many there were."""
    ended = _end_tokens(user) + _end_sessions(user)
    audit.record(action="login.ended_everywhere", object_id=user.pk, actor=by, detail={"ended": ended})
    return ended


@transaction.atomic
def password_change(
    *, user: Any, password: str, by: str, request: HttpRequest, credential: ApiKey | None, keys: bool = False
) -> int:
    """Give *user* another password, which has been validated, and end all other logins and sessions.

    The one that the request came with goes on. With *keys*, keys are ended, too. Returns how many were ended.
    """
    user.set_password(password)
    # One of them stays: all others are ended here.
    user.logins_stay = True
    user.save(update_fields=["password"])
    kinds = [ApiKey.Kind.LOGIN, ApiKey.Kind.KEY] if keys else [ApiKey.Kind.LOGIN]
    session = request.session.session_key if credential is None else None
    ended = _end_tokens(user, kinds=kinds, but=credential) + _end_sessions(user, but=session)
    if session:
        # Under another key: the one of before is nobody's.
        update_session_auth_hash(request, user)
    audit.record(
        action="password.changed", object_id=user.pk, actor=by, detail={"ended": ended, "with_keys": keys}
    )
    return ended


@transaction.atomic
def password_was_set(*, user: Any) -> None:
    """End the login tokens of *user*, whose password was set past `password_change`.

    Sessions end by themselves, and keys stay.
    """
    ended = _end_tokens(user)
    if ended:
        audit.record(action="login.ended_everywhere", object_id=user.pk, detail={"ended": ended})


def _end_tokens(user: Any, *, kinds: Sequence[str] = (ApiKey.Kind.LOGIN,), but: ApiKey | None = None) -> int:
    found = selectors.keys(user=user).filter(selectors.active(), kind__in=kinds)
    if but is not None:
        found = found.exclude(pk=but.pk)
    return found.update(revoked_at=timezone.now())


def _end_sessions(user: Any, *, but: str | None = None) -> int:
    """Whose a session is stands in it alone, so all that have not expired are read: people's, who are few."""
    of_user = [
        session.pk
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator()
        if session.pk != but and session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=of_user).delete()
    return len(of_user)
