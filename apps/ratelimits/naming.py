"""Whom operators mean: an address, a user, or a subject as limits have it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model

from apps.core.addresses import bucket_of
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import subject

#: A name that was hashed already.
_HASHED = re.compile(r"~[A-Za-z0-9_-]{24}")


class Nobody(ValueError):
    """Nobody can be meant by that; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Who:
    """A subject of the limiter."""

    subject: str
    #: Of a user, the plan that they are in and what they are called.
    plan: str = ""
    user: str = ""
    user_id: Any = None

    def __str__(self) -> str:
        return f"{self.subject} ({self.user})" if self.user else self.subject


def of_address(text: str) -> Who:
    """Those who are counted with this address. Raises `Nobody`."""
    bucket = bucket_of(text.strip(), engine().config.ipv6_prefix)
    if not bucket:
        raise Nobody(f"{text!r} is no IP address")
    return Who(subject=subject("address", bucket))


def of_user(text: str) -> Who:
    """The user of that name, or else of that id. Raises `Nobody`."""
    found = None if "\0" in text else _users().filter(**{_users().model.USERNAME_FIELD: text}).first()
    if found is None:
        found = _user_of_id(text)
    if found is None:
        raise Nobody(f"there is no user {text!r}, neither by name nor by id")
    return _of(found)


def of_text(text: str) -> Who:
    """A subject as limits have it, ``<kind>:<name>``, in its one spelling. Raises `Nobody`."""
    kind, colon, name = text.strip().partition(":")
    if not colon:
        raise Nobody(f"{text!r} is no subject: those are like user:7, address:203.0.113.7 or everyone:all")
    if kind == "user" and (found := _user_of_id(name)) is not None:
        return _of(found)
    if kind == "address":
        name = bucket_of(name, engine().config.ipv6_prefix) or name
    try:
        return Who(subject=f"{kind}:{name}" if _is_hashed(kind, name) else subject(kind, name))
    except ValueError as exc:
        raise Nobody(str(exc)) from None


def who(text: str) -> Who:
    """Whoever is meant by an address, the name or id of a user, or a subject. Raises `Nobody`."""
    text = text.strip()
    if not text:
        raise Nobody("nobody is named")
    if bucket_of(text):
        return of_address(text)
    try:
        return of_user(text)
    except Nobody as exc:
        if ":" in text:
            return of_text(text)
        raise Nobody(f"{exc}; it is no IP address either, and no subject like user:7") from None


def user_names(subjects: Iterable[str]) -> dict[str, str]:
    """What users among these subjects are called, by subject."""
    ids = [one.removeprefix("user:") for one in subjects if one.startswith("user:")]
    found = _users().filter(pk__in=[int(one) for one in ids if _is_id(one)])
    return {subject("user", str(one.pk)): one.get_username() for one in found}


def _of(user: Any) -> Who:
    plan_of = engine().plan_of
    return Who(
        subject=subject("user", str(user.pk)),
        plan=(plan_of(user) or "") if plan_of is not None else "",
        user=user.get_username(),
        user_id=user.pk,
    )


def _user_of_id(text: str) -> Any:
    return _users().filter(pk=int(text)).first() if _is_id(text) else None


def _users() -> Any:
    return get_user_model()._default_manager.all()


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 9


def _is_hashed(kind: str, name: str) -> bool:
    # `subject` would hash it once more.
    return bool(_HASHED.fullmatch(name)) and bool(subject(kind, "any"))
