"""Endpoints: made, changed and switched off by their users and by operators; their tokens and secrets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps import audit
from apps.core.crypto import seal
from apps.orders.models import Account
from apps.webhooks import addresses
from apps.webhooks.facts import hashed
from apps.webhooks.models import LONGEST_WINDOW, SHORTEST_WINDOW, Endpoint, signing_context

#: What may be changed.
CHANGEABLE = ("name", "enabled", "require_secret", "allowed_addresses", "window_seconds")
#: The longest time for which a token or a secret stays valid beside the one that follows it (30 days).
LONGEST_OVERLAP = timedelta(days=30)
_MOST_ADDRESSES = 100

What = Literal["token", "secret", "signing_secret"]


class InvalidEndpoint(ValueError):
    """The endpoint cannot be so. ``field`` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Issued:
    """An endpoint, and what of its credentials is new: shown once, and nowhere to be found again."""

    endpoint: Endpoint
    token: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)


@transaction.atomic
def endpoint_create(
    *,
    account: Account,
    name: str,
    by: str,
    require_secret: bool = True,
    allowed_addresses: Iterable[str] = (),
    window_seconds: int = 300,
    signing: bool = False,
) -> Issued:
    """Make an endpoint of *account*, on behalf of the actor *by*; with *signing*, with a signing secret.

    Raises `InvalidEndpoint` naming the field, and `NoKey` where a signing secret is wanted and
    ``ENCRYPTION_KEYS`` has no key.
    """
    endpoint = Endpoint(account=account, user_id=account.user_id)
    given = {
        "name": name,
        "require_secret": require_secret,
        "allowed_addresses": allowed_addresses,
        "window_seconds": window_seconds,
    }
    endpoint_set(endpoint, given)
    token, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    signing_secret = secrets.token_urlsafe(32) if signing else ""
    endpoint.token_hash, endpoint.token_hint = hashed(token), token[-4:]
    endpoint.secret_hash, endpoint.secret_hint = hashed(secret), secret[-4:]
    if signing:
        _seal(endpoint, signing_secret)
    _save(endpoint)
    _record(endpoint, "webhook.endpoint_created", by, after={**_shown(endpoint), "signing": signing})
    return Issued(endpoint=endpoint, token=token, secret=secret, signing_secret=signing_secret)


@transaction.atomic
def endpoint_update(*, endpoint: Endpoint, by: str, **changes: Any) -> Endpoint:
    """Change some of `CHANGEABLE`. Raises `InvalidEndpoint` naming the field."""
    unknown = changes.keys() - set(CHANGEABLE)
    if unknown:
        raise TypeError(f"of an endpoint nobody can change {', '.join(sorted(unknown))}")
    now = _locked(endpoint)
    before = _shown(now)
    endpoint_set(now, changes)
    _save(now)
    changed = audit.Changes(before, _shown(now))
    if changed.after:
        disabled = "enabled" in changed.after and not now.enabled
        action = "webhook.endpoint_disabled" if disabled else "webhook.endpoint_changed"
        _record(now, action, by, before=changed.before, after=changed.after)
    return now


def endpoint_disable(*, endpoint: Endpoint, by: str) -> Endpoint:
    """Switch the endpoint off: it refuses every signal until it is switched on again."""
    return endpoint_update(endpoint=endpoint, by=by, enabled=False)


def endpoint_rotate_token(*, endpoint: Endpoint, by: str, overlap: timedelta = timedelta(0)) -> Issued:
    """Give the endpoint another token, and so another address. The one before stays valid for *overlap*.

    With the last one before that it is over at once. Raises `InvalidEndpoint`.
    """
    token = secrets.token_urlsafe(32)

    def change(now: Endpoint, until: datetime | None) -> None:
        now.previous_token_hash = now.token_hash if until else None
        now.previous_token_until = until
        now.token_hash, now.token_hint = hashed(token), token[-4:]

    return Issued(endpoint=_rotate(endpoint, "token", change, by=by, overlap=overlap), token=token)


def endpoint_rotate_secret(*, endpoint: Endpoint, by: str, overlap: timedelta = timedelta(0)) -> Issued:
    """Give the endpoint another secret; otherwise like `endpoint_rotate_token`."""
    secret = secrets.token_urlsafe(32)

    def change(now: Endpoint, until: datetime | None) -> None:
        now.previous_secret_hash = now.secret_hash if until else ""
        now.previous_secret_until = until
        now.secret_hash, now.secret_hint = hashed(secret), secret[-4:]

    return Issued(endpoint=_rotate(endpoint, "secret", change, by=by, overlap=overlap), secret=secret)


def endpoint_rotate_signing_secret(
    *, endpoint: Endpoint, by: str, overlap: timedelta = timedelta(0)
) -> Issued:
    """Give the endpoint a signing secret, the first or another; otherwise like `endpoint_rotate_token`.

    Raises `NoKey` where ``ENCRYPTION_KEYS`` has no key.
    """
    signing_secret = secrets.token_urlsafe(32)

    def change(now: Endpoint, until: datetime | None) -> None:
        kept = until is not None and now.signing_secret
        now.previous_signing_secret = now.signing_secret if kept else ""
        now.previous_signing_until = until if kept else None
        _seal(now, signing_secret)

    return Issued(
        endpoint=_rotate(endpoint, "signing_secret", change, by=by, overlap=overlap),
        signing_secret=signing_secret,
    )


def endpoint_rotate(*, endpoint: Endpoint, what: What, by: str, overlap: timedelta = timedelta(0)) -> Issued:
    """The one of the three that *what* names."""
    rotations = {
        "token": endpoint_rotate_token,
        "secret": endpoint_rotate_secret,
        "signing_secret": endpoint_rotate_signing_secret,
    }
    return rotations[what](endpoint=endpoint, by=by, overlap=overlap)


@transaction.atomic
def _rotate(
    endpoint: Endpoint,
    what: What,
    change: Callable[[Endpoint, datetime | None], None],
    *,
    by: str,
    overlap: timedelta,
) -> Endpoint:
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidEndpoint("overlap_seconds", f"From 0 to {LONGEST_OVERLAP.total_seconds():.0f} seconds.")
    now = _locked(endpoint)
    until = timezone.now() + overlap if overlap else None
    change(now, until)
    now.save()
    detail = {"previous_valid_until": until.isoformat() if until else None}
    _record(now, f"webhook.{what}_rotated", by, detail=detail)
    return now


def _locked(endpoint: Endpoint) -> Endpoint:
    return (
        Endpoint.objects.select_for_update(of=("self",), no_key=True)
        .select_related("account")
        .get(pk=endpoint.pk)
    )


def _seal(endpoint: Endpoint, signing_secret: str) -> None:
    endpoint.signing_secret = seal(signing_secret, context=signing_context(endpoint.pk))
    endpoint.signing_hint = signing_secret[-4:]


def endpoint_set(endpoint: Endpoint, given: Mapping[str, Any]) -> None:
    """Set what is given of `CHANGEABLE`, checked and not saved. Raises `InvalidEndpoint`."""
    for name, value in given.items():
        setattr(endpoint, name, _CHECKS[name](value) if name in _CHECKS else value)


def _name(value: str) -> str:
    name = " ".join(value.split())
    if not name or len(name) > 64 or not name.isprintable():
        raise InvalidEndpoint("name", "From 1 to 64 printable characters.")
    return name


def _allowed_addresses(value: Iterable[str]) -> list[str]:
    entries = list(value)
    if len(entries) > _MOST_ADDRESSES:
        raise InvalidEndpoint("allowed_addresses", f"Up to {_MOST_ADDRESSES}.")
    try:
        return list(dict.fromkeys(addresses.normal(entry) for entry in entries))
    except ValueError as exc:
        raise InvalidEndpoint("allowed_addresses", f"{exc}.") from None


def _window_seconds(value: int) -> int:
    if not SHORTEST_WINDOW <= value <= LONGEST_WINDOW:
        raise InvalidEndpoint("window_seconds", f"From {SHORTEST_WINDOW} to {LONGEST_WINDOW}.")
    return value


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "name": _name,
    "allowed_addresses": _allowed_addresses,
    "window_seconds": _window_seconds,
}


def _save(endpoint: Endpoint) -> None:
    try:
        with transaction.atomic():
            endpoint.save()
    except IntegrityError as exc:
        if "webhooks_endpoint_name" not in str(exc):
            raise
        raise InvalidEndpoint("name", "Another endpoint of the same user has this name.") from None


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in CHANGEABLE}


def _record(endpoint: Endpoint, action: str, by: str, **more: Any) -> None:
    audit.record(action=action, object_id=endpoint.pk, account=endpoint.account_id, actor=by, **more)
