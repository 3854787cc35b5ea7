"""Making entries, on the way of a request: one small row each, in the caller's transaction."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter

from apps.audit.entries import Outcome, checked
from apps.audit.tasks import write_entries
from apps.core import context
from apps.core.instruments import Instrument
from apps.core.redaction import redact

logger = logging.getLogger(__name__)

_FIELDS = {
    "object_type": "", "object_id": "", "account": "", "outcome": "succeeded", "before": None,
    "after": None, "detail": None, "actor": None, "address": None, "user_agent": None, "request_id": None,
    "correlation_id": None,
}  # fmt: skip


def record(
    *,
    action: str,
    object_type: str = "",
    object_id: object = "",
    account: object = "",
    outcome: Outcome = "succeeded",
    before: Any = None,
    after: Any = None,
    detail: Any = None,
    actor: str | None = None,
    address: str | None = None,
    user_agent: str | None = None,
    request_id: str | None = None,
    correlation_id: str | None = None,
    id: uuid.UUID | None = None,  # noqa: A002 (the field's name)
    occurred_at: datetime | None = None,
) -> uuid.UUID:
    """Make an entry, in the caller's transaction if there is one. Returns its id.

    It is rolled back with that, and never lost after its commit: a worker appends it to the chain. What is
    not given of actor, address, user agent, request id and correlation id is taken from the context, and
    the time is now. Of several entries with one *id* the chain has one. Secrets in *before*, *after* and
    *detail* are masked before anything is stored, and long values are cut (``AUDIT_VALUE_LIMIT``).

    Raises `LookupError` for an action that is not registered, `ValueError` for another outcome, an address
    that is none or a naive time, `TypeError` for values that are not JSON.
    """
    payload = _payload(
        action=action,
        object_type=object_type,
        object_id=object_id,
        account=account,
        outcome=outcome,
        before=before,
        after=after,
        detail=detail,
        actor=actor,
        address=address,
        user_agent=user_agent,
        request_id=request_id,
        correlation_id=correlation_id,
        occurred_at=occurred_at,
    )
    return write_entries.put(id=id, **payload)


def record_many(
    entries: Sequence[Mapping[str, Any]], *, ids: Sequence[uuid.UUID] | None = None
) -> list[uuid.UUID]:
    """Make many entries in one statement, all or none: each is what `record` takes, but for ids."""
    payloads = [_payload(**{**_FIELDS, "occurred_at": None, **entry}) for entry in entries]
    return write_entries.put_many(payloads, ids=ids)


def _payload(*, occurred_at: datetime | None, **fields: Any) -> dict[str, Any]:
    """What is put. Actor, request id and correlation id of the context go with every entry that is put."""
    known = context.current()
    if fields["address"] is None:
        fields["address"] = known.address
    if fields["user_agent"] is None:
        fields["user_agent"] = known.user_agent
    payload = checked(**fields)
    if occurred_at is not None:
        if occurred_at.utcoffset() is None:
            raise ValueError(f"occurred_at must be an aware time, {occurred_at!r} is not")
        payload["occurred_at"] = occurred_at.astimezone(UTC).isoformat()
    return payload


UNRECORDED = Instrument(
    Counter, "chandlery_audit_unrecorded", "Audit entries that could not be made, and were logged instead"
)


def record_afterwards(**entry: Any) -> None:
    """Like `record`, of what has been done and answered already: this raises nothing.

    An entry that cannot be made is logged as an error, with all that it says but its secrets.
    """
    try:
        record(**entry)
    except Exception:
        UNRECORDED.metric.inc()
        told = {**_context(), **entry}
        logger.exception("no audit entry could be made of %s", json.dumps(redact(told), default=str))


def _context() -> dict[str, str]:
    try:
        known = context.current()
    except Exception:
        # Who acts may have to be asked of the database, which may be away.
        return {}
    return {**known.as_meta(), "address": known.address}
