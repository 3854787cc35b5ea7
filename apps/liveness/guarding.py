"""Writes that count only while the worker that makes them holds its user's token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from apps.core.resources import sql
from apps.liveness.errors import Fenced
from apps.liveness.models import WorkerSession
from apps.liveness.states import SessionState


@contextmanager
def guarded(*, user_id: int, token: int) -> Iterator[None]:
    """A transaction that commits only if the token is the user's at its end. Raises `Fenced` otherwise.

    The token is looked at before the block, for nothing to be begun in vain, and after it, for good: from
    then to the commit nobody can take it away. In between nothing is locked: a worker that hangs in the
    middle keeps nobody from declaring it dead, and finds out when it goes on.

    Inside a transaction of the caller's, the token is held until that ends.
    """
    with transaction.atomic():
        active = WorkerSession.objects.filter(user_id=user_id, token=token, state=SessionState.ACTIVE)
        if not active.exists():
            raise Fenced(f"token {token} is not that of user {user_id}'s worker any more")
        yield
        if transaction.get_rollback():
            # The block has decided already that nothing counts; no statement would be answered any more.
            return
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "guard.sql"), {"user": user_id, "token": token})
            if cursor.fetchone() is None:
                raise Fenced(
                    f"token {token} was taken from user {user_id}'s worker; what it wrote is rolled back"
                )
