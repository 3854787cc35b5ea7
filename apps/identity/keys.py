"""Keys and logins: made, changed, rotated and revoked. What is secret of them is told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from knox.models import get_digest_token
from knox.settings import CONSTANTS

from apps import audit
from apps.core.addresses import network_of
from apps.core.redaction import KEY_PREFIX
from apps.core.scopes import SCOPES
from apps.identity import conf, selectors
from apps.identity.models import ApiKey

#: The longest time for which the token before a rotation stays good (30 days).
LONGEST_OVERLAP = timedelta(days=30)
#: Keys of one user that are good at a time.
MOST_KEYS = 100
_MOST_NETWORKS = 100


class InvalidKey(ValueError):
    """The key cannot be so. ``field`` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotAKey(ValueError):
    """It is a login, or it is over: there is nothing to change."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A key, and its token: told once, and nowhere to be found again."""

    key: ApiKey
    token: str = field(repr=False)


@transaction.atomic
def key_create(
    *,
    user: Any,
    name: str,
    scopes: Iterable[str],
    by: str,
    networks: Iterable[str] = (),
    expires_in_days: int | None = None,
) -> Issued:
    """Make a key of *user*, on behalf of the actor *by*. Raises `InvalidKey` naming the field."""
    given = key_check(name=name, scopes=scopes, networks=networks, expires_in_days=expires_in_days)
    life = given.pop("life")
    # Two at once would each count what the other has not made.
    type(user)._default_manager.select_for_update(no_key=True).get(pk=user.pk)
    if selectors.keys(user=user).filter(selectors.active(), kind=ApiKey.Kind.KEY).count() >= MOST_KEYS:
        raise InvalidKey("name", f"There are {MOST_KEYS} keys already: revoke one first.")
    key, token = ApiKey.objects.create(user, life, kind=ApiKey.Kind.KEY, **given)
    _record("key.created", key, by, after={**_shown(key), "scopes": key.scopes, "expiry": _expiry(key)})
    return Issued(key=key, token=token)


def key_check(
    *, name: str, scopes: Iterable[str], networks: Iterable[str], expires_in_days: int | None
) -> dict[str, Any]:
    """What a key would be made of, in its usual form. Raises `InvalidKey` naming the field."""
    return {
        "name": _name(name),
        "scopes": _scopes(scopes),
        "networks": _networks(networks),
        "life": _life(expires_in_days),
    }


@transaction.atomic
def key_update(
    *, key: ApiKey, by: str, name: str | None = None, networks: Iterable[str] | None = None
) -> ApiKey:
    """Change name and networks, or what is given of them. Raises `InvalidKey` and `NotAKey`."""
    now = _locked_key(key)
    before = _shown(now)
    if name is not None:
        now.name = _name(name)
    if networks is not None:
        now.networks = _networks(networks)
    changed = audit.Changes(before, _shown(now))
    if changed.after:
        now.save(update_fields=["name", "networks"])
        _record("key.changed", now, by, before=changed.before, after=changed.after)
    return now


@transaction.atomic
def key_rotate(
    *, key: ApiKey, by: str, overlap: timedelta = timedelta(0), expires_in_days: int | None = None
) -> Issued:
    """Give the key another token, which is good from now on for as long as a new key's.

    The one before stays good for *overlap*, unless it expires sooner; the last one before that is over at
    once. Raises `InvalidKey` and `NotAKey`.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidKey("overlap_seconds", f"From 0 to {LONGEST_OVERLAP.total_seconds():.0f} seconds.")
    life = _life(expires_in_days)
    now = _locked_key(key)
    moment = timezone.now()
    until = min(moment + overlap, now.expiry or moment + overlap) if overlap else None
    now.previous_until = until
    now.previous_digest = now.digest if until else None
    now.previous_token_key = now.token_key if until else None
    now.digest, token = get_digest_token(KEY_PREFIX)
    now.token_key = token[: CONSTANTS.TOKEN_KEY_LENGTH]
    now.expiry = moment + life
    now.save(
        update_fields=[
            "digest", "token_key", "expiry", "previous_digest", "previous_token_key", "previous_until",
        ]
    )  # fmt: skip
    detail = {"previous_valid_until": until.isoformat() if until else None, "expiry": _expiry(now)}
    _record("key.rotated", now, by, detail=detail)
    return Issued(key=now, token=token)


@transaction.atomic
def key_revoke(*, key: ApiKey, by: str) -> bool:
    """End a key or a login now, for good. False where it is revoked already."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
        return False
    _record("key.revoked", key, by, detail={"kind": key.kind, "name": key.name, "user": key.user_id})
    return True


def _locked_key(key: ApiKey) -> ApiKey:
    now: ApiKey = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    if now.kind != ApiKey.Kind.KEY:
        raise NotAKey("This is a login, which can only be ended.")
    if now.state != "active":
        raise NotAKey(f"This key is {now.state}.")
    return now


def _name(value: str) -> str:
    name = " ".join(value.split())
    if not name or len(name) > 64 or not name.isprintable():
        raise InvalidKey("name", "From 1 to 64 printable characters.")
    return name


def _scopes(value: Iterable[str]) -> list[str]:
    scopes = sorted(set(value))
    if not scopes:
        raise InvalidKey("scopes", "At least one.")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise InvalidKey("scopes", f"There is no {', '.join(unknown)}. There are: {', '.join(SCOPES)}.")
    return scopes


def _networks(value: Iterable[str]) -> list[str]:
    entries = list(value)
    if len(entries) > _MOST_NETWORKS:
        raise InvalidKey("networks", f"Up to {_MOST_NETWORKS}.")
    try:
        return list(dict.fromkeys(str(network_of(entry)) for entry in entries))
    except ValueError as exc:
        raise InvalidKey("networks", f"{exc}.") from None


def _life(days: int | None) -> timedelta:
    days = conf.usual_days() if days is None else days
    if not 1 <= days <= conf.longest_days():
        raise InvalidKey("expires_in_days", f"From 1 to {conf.longest_days()}.")
    return timedelta(days=days)


def _shown(key: ApiKey) -> dict[str, Any]:
    return {"name": key.name, "networks": list(key.networks)}


def _expiry(key: ApiKey) -> str | None:
    return key.expiry.isoformat() if key.expiry else None


def _record(action: str, key: ApiKey, by: str, **more: Any) -> None:
    audit.record(action=action, object_id=key.pk, actor=by, **more)
