"""Addresses to which nothing is sent, because what was sent to them came back."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from apps.notifications.models import Email, SuppressedAddress

#: Characters of an address (RFC 5321, 4.5.3.1.3).
LONGEST = 254


def normal(address: str) -> str:
    """An address as it is compared with others."""
    return address.strip().lower()


def possible(address: str) -> bool:
    """Whether *address* can be one: all else is for mail servers to say."""
    user, _, host = address.rpartition("@")
    return bool(user and host) and address.isprintable() and len(address) <= LONGEST


def suppression_of(address: str) -> SuppressedAddress | None:
    """Why nothing is sent to *address*; None: it is."""
    return SuppressedAddress.objects.filter(address=normal(address), lifted_at=None).first()


@transaction.atomic
def address_suppress(*, address: str, reason: str, email: Email | None = None) -> SuppressedAddress:
    """Send nothing to *address* any more, until that is lifted. The first reason stays."""
    found, _ = SuppressedAddress.objects.get_or_create(
        address=normal(address), lifted_at=None, defaults={"reason": reason, "email": email}
    )
    return found


def suppression_lift(*, suppression: SuppressedAddress, actor: str) -> bool:
    """Send to the address again. False: that was lifted already."""
    standing = SuppressedAddress.objects.filter(pk=suppression.pk, lifted_at=None)
    return standing.update(lifted_at=Now(), lifted_by=actor) == 1
