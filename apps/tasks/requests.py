"""Recording requests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.core import context
from apps.core.database import execute
from apps.core.resources import sql
from apps.tasks.models import TaskRun
from apps.tasks.newrun import NewRun, Requested, Unique


def request(run: NewRun) -> Requested:
    """Request a run.

    The request is part of the caller's transaction: rolled back with it, never lost after it. An *id*
    that exists, or a unique key that is taken, requests nothing: the run that is there is returned.
    """
    if run.unique is None or run.unique.while_active:
        return _request(run)
    with transaction.atomic():
        # Until the caller's transaction ends, nobody else decides about this key.
        with connection.cursor() as cursor:
            cursor.execute(sql(__package__, "lock_keys.sql"), {"keys": [f"unique:{run.unique.key}"]})
        holder = _holder(run.unique)
        return Requested(run_id=holder, created=False) if holder else _request(run)


def request_many(runs: Sequence[NewRun]) -> list[Requested]:
    """Request many runs in one statement, in the order given; the results are in the same order.

    Like `request` for each of them, but only runs without a unique key, or with one that is taken while
    its run is active, and no two with the same.
    """
    if not runs:
        return []
    if any(run.unique is not None and not run.unique.while_active for run in runs):
        raise ValueError("runs with a unique key of their own states or period are requested one by one")
    with transaction.atomic():
        created = _insert(runs)
        return [
            Requested(run_id=run.id, created=True) if run.id in created else _request(run) for run in runs
        ]


def _request(run: NewRun) -> Requested:
    # A second round only where the run that held the unique key ended between the two statements.
    while True:
        if _insert([run]):
            return Requested(run_id=run.id, created=True)
        if TaskRun.objects.filter(pk=run.id).exists():
            return Requested(run_id=run.id, created=False)
        holder = _holder(run.unique) if run.unique else None
        if holder is not None:
            return Requested(run_id=holder, created=False)


def _insert(runs: Sequence[NewRun]) -> set[uuid.UUID]:
    parameters = {
        "runs": json.dumps([run.as_row() for run in runs], cls=DjangoJSONEncoder),
        "meta": json.dumps(context.current().as_meta()),
    }
    return {run_id for run_id, _ in execute(sql(__package__, "request.sql"), parameters)}


def _holder(unique: Unique) -> uuid.UUID | None:
    """The first run that holds the key."""
    holders = TaskRun.objects.filter(unique_key=unique.key, state__in=unique.states)
    if unique.period is not None:
        holders = holders.filter(requested_at__gt=Now() - unique.period)
    return holders.order_by("seq").values_list("pk", flat=True).first()
