"""Writing the delivery log: rows, their audit entries, and the mails that follow from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.urls import reverse

from apps.audit import chain
from apps.audit.entries import NewEntry, new_entry
from apps.audit.entries import Outcome as AuditOutcome
from apps.core.resources import sql
from apps.notifications.links import links_to
from apps.notifications.services import email_request
from apps.orders.services import daily_refused
from apps.tasks.durations import BOUNDS
from apps.tasks.models import Entry
from apps.webhooks.codes import ACTIONS, CODES, Outcome
from apps.webhooks.models import Endpoint

_AUDIT_OUTCOMES: Mapping[str, AuditOutcome] = {Outcome.REFUSED: "refused", Outcome.FAILED: "failed"}


@transaction.atomic
def deliveries_log(entries: Sequence[Entry]) -> None:
    """Write each of *entries* once: its row, its audit entry, and what its user is told by e-mail."""
    rows = [{"id": str(entry.pk), **entry.payload} for entry in entries]
    with connection.cursor() as cursor:
        cursor.execute(
            sql(__package__, "log.sql"),
            {"deliveries": json.dumps(rows, cls=DjangoJSONEncoder), "bounds": list(BOUNDS)},
        )
        new = {str(found) for (found,) in cursor.fetchall()}
    rows = [row for row in rows if row["id"] in new]
    endpoints = Endpoint.objects.select_related("user", "account").in_bulk(
        {row["endpoint_id"] for row in rows if row["endpoint_id"]}
    )
    known = {str(pk): endpoint for pk, endpoint in endpoints.items()}
    _tell_attacks(rows, known)
    _count_refusals(rows, known)
    # Last: the end of the chain is held from here on.
    chain.append([_audited(row, known.get(row["endpoint_id"])) for row in rows])


def _tell_attacks(rows: Iterable[Mapping[str, Any]], endpoints: Mapping[str, Endpoint]) -> None:
    """Ask for one mail for each endpoint and kind of attack; the mails themselves are throttled, too."""
    attacks: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["outcome"] == Outcome.REFUSED and row["endpoint_id"] and CODES[row["code"]].attack:
            attacks.setdefault((row["endpoint_id"], row["code"]), []).append(row)
    # In the order of the throttle's keys, as mails are to be asked for.
    for (endpoint_id, code), alike in sorted(attacks.items(), key=lambda one: _throttle_key(*one[0])):
        endpoint, first = endpoints[endpoint_id], alike[0]
        email_request(
            kind="webhook_attack",
            user=endpoint.user,
            about=f"delivery:{first['id']}",
            context={
                "endpoint": endpoint.name,
                "endpoint_id": endpoint_id,
                "attack": CODES[code].attack,
                "address": first["address"] or "",
                "user_agent": first["user_agent"],
                "at": first["at"],
                "held_back": len(alike) - 1,
                **links_to(
                    endpoint,
                    user=endpoint.user,
                    api=reverse("endpoint-detail", kwargs={"endpoint_id": endpoint_id}),
                ),
            },
            throttle_key=_throttle_key(endpoint_id, code),
        )


def _throttle_key(endpoint_id: str, code: str) -> str:
    return f"{endpoint_id}:{CODES[code].action}"


def _count_refusals(rows: Iterable[Mapping[str, Any]], endpoints: Mapping[str, Endpoint]) -> None:
    """Have the refusals for the daily limit counted; whoever is refused first on a day is told."""
    refused = Counter(
        (endpoints[row["endpoint_id"]].account_id, row["day"], row["simulation"])
        for row in rows
        if row["code"] == "daily_limit"
    )
    accounts = {one.account_id: one.account for one in endpoints.values()}
    # Always in this order, so that two batches do not wait for each other.
    for (account_id, day, simulation), count in sorted(refused.items()):
        daily_refused(
            account=accounts[account_id], simulation=simulation, day=date.fromisoformat(day), count=count
        )


def _audited(row: Mapping[str, Any], endpoint: Endpoint | None) -> NewEntry:
    outcome = row["outcome"]
    taken = outcome in ACTIONS
    named = ("format", "layer", "code", "status", "signal", "symbol", "simulation", "order_id", "key")
    return new_entry(
        # The delivery's own: whatever is written twice is there once.
        id=UUID(row["id"]),
        occurred_at=datetime.fromisoformat(row["at"]),
        action=ACTIONS[outcome] if taken else CODES[row["code"]].action,
        object_id=row["id"],
        account=endpoint.account_id if endpoint else "",
        outcome=_AUDIT_OUTCOMES.get(outcome, "succeeded"),
        detail={
            "endpoint": row["endpoint_id"],
            **{name: row[name] for name in named if row[name] not in ("", None)},
        },
        # Who is refused has not shown to be anybody.
        actor=f"webhook:{row['endpoint_id']}" if taken else "",
        address=row["address"] or "",
        user_agent=row["user_agent"],
        request_id=row["request_id"],
    )
