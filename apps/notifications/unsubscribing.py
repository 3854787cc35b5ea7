"""Links by which one user turns one kind of mail off, without signing in.

A link is a signed pair of user and kind, and opens nothing else. It does not expire: old mails stay in
mailboxes. It holds as long as its key is in ``SECRET_KEY`` or ``SECRET_KEY_FALLBACKS``.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from apps.core import conf
from apps.notifications.kinds import Kind, kind_of

_SIGNER = "notifications.unsubscribe"


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What a link is about."""

    user: User
    kind: Kind


def unsubscribe_url(*, user_id: int, kind: Kind) -> str:
    """The link; empty for a kind that cannot be turned off."""
    if not kind.changeable:
        return ""
    token = Signer(salt=_SIGNER).sign_object([user_id, kind.name])
    return f"{conf.public_url()}{reverse('notifications-unsubscribe', args=[token])}"


def subscription(token: str) -> Subscription | None:
    """What *token* is about; None where it was not made here, or its user or kind is gone."""
    try:
        user_id, name = Signer(salt=_SIGNER).unsign_object(token)
        kind = kind_of(name)
        user = get_user_model()._default_manager.filter(pk=user_id).first()
    except (BadSignature, LookupError, TypeError, ValueError):
        return None
    return None if user is None else Subscription(user=user, kind=kind)


def headers(url: str) -> dict[str, str]:
    """What lets mail programs show a button that turns the mails off by one click (RFC 8058)."""
    if not url:
        return {}
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
