"""Which mails users want."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from apps.notifications.kinds import Kind, kind_of, user_kinds
from apps.notifications.models import Preference


class CannotTurnOff(ValueError):
    """Mails of this kind cannot be turned off."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One kind, and whether a user gets mails of it."""

    kind: Kind
    enabled: bool


def choices_of(user_id: int) -> list[Choice]:
    """All kinds that users get, as this one has decided."""
    off = set(Preference.objects.filter(user=user_id, enabled=False).values_list("kind", flat=True))
    return [Choice(kind=kind, enabled=not (kind.changeable and kind.name in off)) for kind in user_kinds()]


def wants(user_id: int, kind: Kind) -> bool:
    """Whether this user gets mails of the kind."""
    if not kind.changeable:
        return True
    return not Preference.objects.filter(user=user_id, kind=kind.name, enabled=False).exists()


def holder(user_id: int) -> QuerySet[User]:
    """The row that is locked by whoever changes preferences of a user, which need not have rows yet."""
    return get_user_model()._default_manager.filter(pk=user_id)


@transaction.atomic
def preferences_set(*, user_id: int, enabled: Mapping[str, bool], source: Preference.Source) -> None:
    """Turn mails of kinds on and off for a user: all of them or, where one is refused, none.

    Raises `LookupError` for an unknown kind, and `CannotTurnOff`.
    """
    holder(user_id).select_for_update(no_key=True).first()
    for name, wanted in enabled.items():
        check(name, enabled=wanted)
        Preference.objects.update_or_create(
            user_id=user_id, kind=name, defaults={"enabled": wanted, "source": source}
        )


def check(name: str, *, enabled: bool) -> None:
    """Raises `LookupError` for an unknown kind, and `CannotTurnOff`."""
    kind = kind_of(name)
    if not kind.changeable and not enabled:
        raise CannotTurnOff(f"Mails of the kind {kind.label!r} cannot be turned off.")
