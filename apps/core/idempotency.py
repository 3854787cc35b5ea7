"""Requests that may be repeated: done once, and answered the same again.

A client that does not know whether its POST arrived sends it again with the same ``Idempotency-Key``. What
the request does and what it is answered are one transaction here, under a unique key: the repeat waits for
the end of the first and is then given its answer, byte for byte, with ``Idempotency-Replayed: true``. Answers
that say that nothing was done (4xx, 5xx) are not kept, and what led to them is rolled back: the key can be
used again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.utils import timezone
from psycopg.errors import LockNotAvailable
from rest_framework.request import Request

from apps.core import conf
from apps.core.api import REPLAYED
from apps.core.clients import actor_of
from apps.core.crypto import seal, unseal
from apps.core.ids import uuid7
from apps.core.models import KeptAnswer, seal_context
from apps.core.problems import IdempotencyInProgress, IdempotencyKeyReused
from apps.core.resources import sql

#: Milliseconds for which a repeat waits for the request that it repeats.
_PATIENCE = 2_000
#: Headers that belong to what was done; the others are of each answer anew.
_HEADERS = ("Content-Type", "Location", "Cache-Control", "ETag")
#: Rows that are deleted in one transaction.
_BATCH = 5_000


def once(request: Request, key: str, answered: Callable[[], HttpResponse]) -> HttpResponse:
    """The rendered answer of *answered*, which is called unless this caller's *key* was answered before.

    An answer that is not to be stored by caches (``Cache-Control: no-store``) is sealed: it may hold what is
    shown once. Raises `IdempotencyKeyReused`, `IdempotencyInProgress` where the first request takes long,
    `NoKey` where an answer would have to be sealed and there is no key (nothing is done then), and what
    *answered* raises.
    """
    principal = actor_of(request) or "anonymous"
    address = f"{request.method} {request.get_full_path()}"
    body_hash = hashlib.sha256(request._request.body).digest()
    with transaction.atomic():
        row = KeptAnswer(id=uuid7(), principal=principal, key=key, address=address, body_hash=body_hash)
        if not _claimed(row):
            earlier = KeptAnswer.objects.filter(principal=principal, key=key).first()
            if earlier is None:
                # Its time was over just now.
                raise IdempotencyInProgress
            return _replayed(earlier, address, body_hash)
        response = answered()
        if response.status_code >= 400:
            transaction.set_rollback(True)
        else:
            _keep(row, response)
        return response


def prune() -> int:
    """Delete the answers whose time is over, some thousands at a time. Returns how many those were."""
    before = timezone.now() - timedelta(hours=conf.idempotency_hours())
    total = 0
    while True:
        old = KeptAnswer.objects.filter(created_at__lt=before).order_by("created_at")[:_BATCH]
        deleted, _ = KeptAnswer.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        total += deleted
        if deleted < _BATCH:
            return total


def _claimed(row: KeptAnswer) -> bool:
    """Insert the row; False where there is one of that key. Raises `IdempotencyInProgress`."""
    values: dict[str, Any] = {
        "id": row.pk,
        "principal": row.principal,
        "key": row.key,
        "address": row.address,
        "body_hash": row.body_hash,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)", [f"{_PATIENCE}ms"]
        )
        before = cursor.fetchone()[0]
        try:
            cursor.execute(sql(__package__, "answer_claim.sql"), values)
        except OperationalError as exc:
            if isinstance(exc.__cause__, LockNotAvailable):
                raise IdempotencyInProgress from None
            raise
        claimed = cursor.fetchone() is not None
        # What the request itself waits for is not this one's to limit.
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
    return claimed


def _keep(row: KeptAnswer, response: HttpResponse) -> None:
    body = response.content.decode()
    row.status = response.status_code
    row.headers = {name: response[name] for name in _HEADERS if name in response}
    if body and "no-store" in response.get("Cache-Control", ""):
        row.sealed_body = seal(body, context=seal_context(row))
    else:
        row.body = body
    row.save(update_fields=["status", "headers", "body", "sealed_body"], force_update=True)


def _replayed(row: KeptAnswer, address: str, body_hash: bytes) -> HttpResponse:
    if row.address != address:
        raise IdempotencyKeyReused("The key came with a request to another address before.")
    if bytes(row.body_hash) != body_hash:
        raise IdempotencyKeyReused("The key came with another body before.")
    body = unseal(row.sealed_body, context=seal_context(row)) if row.sealed_body else row.body
    headers = {**row.headers, REPLAYED: "true"}
    response = HttpResponse(body.encode(), status=row.status, headers=headers)
    if "Content-Type" not in row.headers:
        del response["Content-Type"]
    return response
