"""An entry on its way into the chain."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from apps.audit import actions, conf, values
from apps.core.addresses import usual_form

Outcome = Literal["succeeded", "refused", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

_USER_AGENT = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEntry:
    """What is appended to the chain. Made by `new_entry`, which sees to that the database takes it."""

    #: An entry whose id is in the chain already is not appended again.
    id: uuid.UUID
    #: When it was done.
    occurred_at: datetime
    action: str
    outcome: Outcome = "succeeded"
    #: ``user:<id>``, ``system``, ``task:<name>``, …; empty where nobody knows.
    actor: str = ""
    object_type: str = ""
    object_id: str = ""
    #: The trading account that it is about.
    account: str = ""
    #: An IP address, or empty.
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    correlation_id: str = ""
    #: JSON values, or None.
    before: Any = None
    after: Any = None
    detail: Any = None


def new_entry(
    *,
    id: uuid.UUID,  # noqa: A002 (the field's name)
    occurred_at: datetime,
    action: str,
    object_type: str = "",
    object_id: object = "",
    account: object = "",
    outcome: Outcome = "succeeded",
    before: Any = None,
    after: Any = None,
    detail: Any = None,
    actor: str = "",
    address: str = "",
    user_agent: str = "",
    request_id: str = "",
    correlation_id: str = "",
) -> NewEntry:
    """An entry with everything given: for tasks that append to the chain themselves.

    Secrets are masked and long values cut. An entry without correlation id has its request's. Raises
    `LookupError` for an action that is not registered, `ValueError` for another outcome, an address that is
    none or a naive time, `TypeError` for values that are not JSON.
    """
    if occurred_at.utcoffset() is None:
        raise ValueError(f"occurred_at must be an aware time, {occurred_at!r} is not")
    fields = checked(
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
        correlation_id=correlation_id or request_id,
    )
    return NewEntry(id=id, occurred_at=occurred_at, **fields)


def checked(
    *,
    action: str,
    object_type: str,
    object_id: object,
    account: object,
    outcome: str,
    before: Any,
    after: Any,
    detail: Any,
    actor: str | None,
    address: str | None,
    user_agent: str | None,
    request_id: str | None,
    correlation_id: str | None,
) -> dict[str, Any]:
    """What is given of these fields, as it is kept. Raises as `new_entry` does."""
    object_type = object_type or actions.action(action).object_type
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} is no outcome: {', '.join(OUTCOMES)} are")
    fields: dict[str, Any] = {"action": action, "outcome": outcome}
    if object_type:
        fields["object_type"] = values.line(object_type)
    if object_id not in ("", None):
        fields["object_id"] = values.line(object_id)
    if account not in ("", None):
        fields["account"] = values.line(account)
    for name, text in (("actor", actor), ("request_id", request_id), ("correlation_id", correlation_id)):
        # Empty is an answer, too: None is left to the context.
        if text is not None:
            fields[name] = values.line(text)
    if address:
        fields["address"] = usual_form(address)
        if not fields["address"]:
            raise ValueError(f"{address!r} is no IP address")
    if user_agent:
        fields["user_agent"] = values.line(user_agent, _USER_AGENT)
    limit = conf.value_limit()
    for name, value in (("before", before), ("after", after), ("detail", detail)):
        if value is not None:
            fields[name] = values.kept(value, limit)
    return fields
