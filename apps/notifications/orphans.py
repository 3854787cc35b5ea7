"""Telling users and operators of orphans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.urls import reverse

from apps.core.ids import uuid7
from apps.liveness.models import Scan, WorkerSession
from apps.liveness.populations import Kind
from apps.notifications import conf, selectors
from apps.notifications.links import links_to
from apps.notifications.services import email_request

#: The mail to operators, and the one to the user whose worker it was.
OPERATORS, USER = "orphans", "worker_orphaned"
#: Orphans that a mail names.
_NAMED = 20
#: What kinds are called in a mail.
_KINDS = {kind.value: kind.label.split(": ", 1)[1] for kind in Kind}


@dataclass(frozen=True, kw_only=True)
class OrphanAlert:
    """What one look for untold orphans came to."""

    #: Scans that operators were told of, and sessions of which their users were.
    scans: int = 0
    sessions: int = 0


@transaction.atomic
def alert_orphans() -> OrphanAlert:
    """Ask for an e-mail to each operator, and to each user whose workers were orphaned, if it is time.

    Operators are told of all scans that settled something or need a decision. What a mail tells of counts as
    told with the caller's transaction, in which the mails are asked for.
    """
    # Of two at once, the second sees the mails of the first.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ["notifications.orphans"])
    return OrphanAlert(scans=_tell_operators(), sessions=_tell_users())


def _tell_operators() -> int:
    untold = Scan.objects.filter(alert_due=True)
    operators = conf.operators()
    if not operators:
        untold.update(alert_due=False)
        return 0
    scans = list(untold.order_by("id"))
    if not scans or selectors.recent(OPERATORS, conf.alert_every()).exists():
        return 0
    about, context = f"orphans:{uuid7()}", _context(scans)
    for operator in dict.fromkeys(operators):
        email_request(kind=OPERATORS, recipient=operator, about=about, context=context)
    Scan.objects.filter(pk__in=[scan.pk for scan in scans]).update(alert_due=False)
    return len(scans)


def _context(scans: Sequence[Scan]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    orphans: list[dict[str, Any]] = []
    for scan in scans:
        for name, found in scan.populations.items():
            counts.setdefault(name, Counter()).update(found["acted"])
            orphans += [
                {
                    "at": scan.at,
                    "population": name,
                    "member": orphan["member"],
                    "silence": orphan["silence"],
                }
                for orphan in found["orphans"]
                if found["acted"]
            ]
    last, total = scans[-1].populations, sum(count.total() for count in counts.values())
    return {
        "total": total,
        "populations": [
            {
                "name": name,
                "total": count.total(),
                "lines": [{"count": number, "kind": _KINDS[kind]} for kind, number in count.most_common()],
            }
            for name, count in counts.items()
            if count.total()
        ],
        "orphans": orphans[:_NAMED],
        "more": max(0, total - len(orphans[:_NAMED])),
        "held": [name for name, found in last.items() if found["mass"]],
        "url": reverse("admin:liveness_workersession_now"),
    }


def _tell_users() -> int:
    told = 0
    by_user: dict[int, list[WorkerSession]] = {}
    for session in WorkerSession.objects.filter(alert_due=True).order_by("id"):
        by_user.setdefault(session.user_id, []).append(session)
    users = get_user_model()._default_manager.in_bulk(by_user)
    for user_id, sessions in by_user.items():
        user = users.get(user_id)
        address = getattr(user, "email", "") if user is not None and user.is_active else ""
        if user is not None and address:
            if selectors.recent(USER, conf.alert_every()).filter(recipient=address).exists():
                continue
            email_request(
                kind=USER,
                user=user,
                about=f"worker:{sessions[-1].pk}",
                context={
                    "sessions": [
                        {
                            "worker": one.worker,
                            "started_at": one.started_at,
                            "ended_at": one.ended_at,
                            "reason": one.reason,
                        }
                        for one in sessions
                    ],
                    **links_to(sessions[-1], user=user, api=reverse("worker-list")),
                },
            )
            told += len(sessions)
        WorkerSession.objects.filter(pk__in=[one.pk for one in sessions]).update(alert_due=False)
    return told
