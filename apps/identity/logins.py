"""Logins: begun, ended one by one and all together; and passwords, whose change ends the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from apps import audit
from apps.identity import selectors
from apps.identity.keys import Issued
from apps.identity.models import ApiKey


@transaction.atomic
def login_begin(*, user: Any, request: HttpRequest) -> Issued:
    """Make a login token for *user*, who has just been verified."""
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
    ended = _end(user, kinds=[ApiKey.Kind.LOGIN])
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
    user.save(update_fields=["password"])
    kinds = [ApiKey.Kind.LOGIN, ApiKey.Kind.KEY] if keys else [ApiKey.Kind.LOGIN]
    session = request.session.session_key if credential is None else None
    ended = _end(user, kinds=kinds, but_login=credential, but_session=session)
    if session:
        # Under another key: the one of before is nobody's.
        update_session_auth_hash(request, user)
    audit.record(
        action="password.changed", object_id=user.pk, actor=by, detail={"ended": ended, "with_keys": keys}
    )
    return ended


def _end(
    user: Any, *, kinds: Sequence[str], but_login: ApiKey | None = None, but_session: str | None = None
) -> int:
    other = Q() if but_login is None else ~Q(pk=but_login.pk)
    found = selectors.keys(user=user).filter(selectors.active(), other, kind__in=kinds)
    return found.update(revoked_at=timezone.now()) + _end_sessions(user, but=but_session)


def _end_sessions(user: Any, *, but: str | None) -> int:
    """Whose a session is stands in it alone, so all that have not expired are read: people's, who are few."""
    of_user = [
        session.pk
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator()
        if session.pk != but and session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    Session.objects.filter(pk__in=of_user).delete()
    return len(of_user)
