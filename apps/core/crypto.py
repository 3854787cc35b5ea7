"""Secrets at rest: AES-256-GCM under keys from the environment.

``ENCRYPTION_KEYS`` lists keys as ``id:key`` (32 bytes in base64). The first seals; every one opens what was
sealed under it. A new key is put in front, `rotate` seals everything anew, and the old one can go.

What is sealed is bound to its place by a *context* (``orders.account:<id>:secret``): moved to another
row or column it does not open.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction

from apps.core.keyring import KEY_BYTES, keys_of

_NONCE_BYTES = 12
#: Rows that are sealed anew in one transaction.
_BATCH = 100


class SealBroken(Exception):
    """What was sealed cannot be opened: its key is missing, it was changed, or it belongs elsewhere."""


class NoKey(ImproperlyConfigured):
    """There is no key to seal with. Over the API that is a problem of the status 503."""


def keyring() -> dict[str, bytes]:
    """The keys by id, the current one first. Raises `NoKey` where there is none."""
    keys = keys_of("ENCRYPTION_KEYS", tuple(settings.ENCRYPTION_KEYS))
    if not keys:
        raise NoKey(
            "ENCRYPTION_KEYS is not set: secrets cannot be stored. `manage.py encryption_key` makes a key."
        )
    return keys


def new_key() -> str:
    """A new entry for ``ENCRYPTION_KEYS``, with an id of its own."""
    key = base64.b64encode(AESGCM.generate_key(bit_length=8 * KEY_BYTES)).decode()
    return f"k{secrets.token_hex(4)}:{key}"


def seal(plain: str, *, context: str) -> str:
    """*plain*, encrypted under the current key, as text: ``<key id>.<nonce and ciphertext in base64>``."""
    name, key = next(iter(keyring().items()))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain.encode(), f"{name}:{context}".encode())
    return f"{name}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(sealed: str, *, context: str) -> str:
    """What was sealed with the same *context*. Raises `SealBroken`."""
    name, _, encoded = sealed.partition(".")
    key = keyring().get(name)
    if key is None:
        raise SealBroken(f"ENCRYPTION_KEYS has no key {name!r}")
    try:
        raw = base64.urlsafe_b64decode(encoded)
        opened = AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], f"{name}:{context}".encode())
    except (InvalidTag, ValueError):
        raise SealBroken(f"what is stored as {context} was changed, or belongs elsewhere") from None
    return opened.decode()


def is_stale(sealed: str) -> bool:
    """Whether *sealed* is under another key than the current one."""
    return sealed.partition(".")[0] != next(iter(keyring()))


@dataclass(frozen=True, kw_only=True)
class SealedColumn:
    """A column that holds sealed text, and the context of each of its rows. Empty text: nothing is stored."""

    model: type[models.Model]
    column: str
    context: Callable[[Any], str]

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.column}"


_columns: list[SealedColumn] = []


def register(column: SealedColumn) -> None:
    """Make *column* known to `rotate`."""
    _columns.append(column)


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """What sealing one column anew came to."""

    column: SealedColumn
    sealed: int
    #: Rows that do not open, with the reason: they are left as they are.
    broken: tuple[tuple[Any, str], ...]


def rotate() -> Iterator[Rotated]:
    """Seal everything under an older key anew, column by column. Safe to repeat, and twice at once."""
    for column in _columns:
        yield _rotate(column)


def _rotate(column: SealedColumn) -> Rotated:
    sealed, broken, last = 0, [], None
    while True:
        with transaction.atomic():
            rows = column.model._default_manager.select_for_update().order_by("pk")
            if last is not None:
                rows = rows.filter(pk__gt=last)
            batch = list(rows[:_BATCH])
            for row in batch:
                old = getattr(row, column.column)
                if not old or not is_stale(old):
                    continue
                try:
                    plain = unseal(old, context=column.context(row))
                except SealBroken as exc:
                    broken.append((row.pk, str(exc)))
                    continue
                anew = seal(plain, context=column.context(row))
                column.model._default_manager.filter(pk=row.pk).update(**{column.column: anew})
                sealed += 1
        if not batch:
            return Rotated(column=column, sealed=sealed, broken=tuple(broken))
        last = batch[-1].pk
