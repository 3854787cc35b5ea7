"""Reading the audit."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from apps.audit import actions, chain, verifying
from apps.audit.chain import Head
from apps.audit.models import Entry, Verification
from apps.audit.tasks import write_entries
from apps.core.addresses import usual_form
from apps.core.paging import newest
from apps.core.resources import sql


def filtered(
    found: QuerySet[Entry],
    *,
    action: str | None = None,
    actor: str | None = None,
    object_type: str | None = None,
    object_id: str | None = None,
    account: str | None = None,
    outcome: str | None = None,
    address: str | None = None,
    request_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Entry]:
    """Those of *found* that fulfil all conditions that are given; *until* is exclusive.

    *action* may end in ``.*`` (``login.*``). *request_id* is a request with all that followed from it.
    """
    if action is not None and action.endswith(".*"):
        names = [one.name for one in actions.all_actions() if one.name.startswith(action[:-1])]
        found = found.filter(action__in=names)
    elif action is not None:
        found = found.filter(action=action)
    lookups: dict[str, Any] = {
        "actor": actor, "object_type": object_type, "object_id": object_id, "account": account,
        "outcome": outcome, "address": address, "correlation_id": request_id, "occurred_at__gte": since,
        "occurred_at__lt": until,
    }  # fmt: skip
    return found.filter(**{name: value for name, value in lookups.items() if value is not None})


def searched(found: QuerySet[Entry], term: str) -> QuerySet[Entry]:
    """Those of *found* that have *term* as actor, object, account, request, address or id.

    A whole value each, which indexes answer. ``orders.order:7`` is an object with its type.
    """
    conditions = Q(actor=term) | Q(object_id=term) | Q(account=term) | Q(correlation_id=term)
    kind, colon, key = term.partition(":")
    if colon and key:
        conditions |= Q(object_id=key, object_type=kind)
    if address := usual_form(term):
        conditions |= Q(address=address)
    with suppress(ValueError):
        conditions |= Q(id=uuid.UUID(term))
    return found.filter(conditions)


def page(found: QuerySet[Entry], *, before: int | None, limit: int) -> tuple[list[Entry], int | None]:
    """Up to *limit* entries, newest first, and what *before* is for the next page, if there is one."""
    return newest(found, before=before, limit=limit, by="sequence")


@dataclass(frozen=True, kw_only=True)
class AuditState:
    """How the audit stands."""

    #: None where it is missing.
    head: Head | None
    #: Entries that were made and are not in the chain yet, and seconds that the first of them has waited.
    waiting: int
    lag: float
    #: Rows behind the last sound verification.
    unverified: int
    last: Verification | None


def state() -> AuditState:
    """How the chain, its verification and the way into it stand."""
    try:
        head: Head | None = chain.head()
    except chain.HeadMissing:
        head = None
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "waiting.sql"), {"task": write_entries.name})
        waiting, lag = cursor.fetchone()
    sound = verifying.last_sound()
    return AuditState(
        head=head,
        waiting=int(waiting),
        lag=float(lag),
        unverified=max(0, (head.sequence if head else 0) - (sound.through if sound else 0)),
        last=verifying.last(),
    )


@dataclass(frozen=True, kw_only=True)
class AuditHealth:
    """Whether the audit is sound, as far as that shows at a glance."""

    #: Whether the row is there that holds the end of the chain.
    has_head: bool
    #: Entries that are not in the chain yet, and seconds that the first of them has waited.
    waiting: int
    lag: float
    #: What the last look found and nobody has accepted.
    findings: int


def health() -> AuditHealth:
    """How the audit stands, in one query by indexes."""
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "health.sql"), {"task": write_entries.name})
        heads, waiting, lag, findings = cursor.fetchone()
    return AuditHealth(has_head=heads > 0, waiting=waiting, lag=lag, findings=findings)
