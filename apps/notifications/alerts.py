"""Telling operators of dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.urls import reverse

from apps.core.ids import uuid7
from apps.notifications import conf, selectors
from apps.notifications.models import Email
from apps.notifications.plain import one_line
from apps.notifications.services import email_request
from apps.tasks import alerts
from apps.tasks.alerts import DeadLetters

KIND = "dead_letters"
#: Lines of a mail that tell of dead runs, and characters of a reason in them.
_LINES = 20
_REASON = 200


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What one look for dead letters came to."""

    #: Dead runs that the mail tells of; 0 where none was written.
    told: int = 0
    #: Dead runs that wait for the next mail.
    waiting: int = 0


@transaction.atomic
def alert_dead_letters() -> Alert:
    """Ask for one e-mail to each operator about all runs that died since the last, if it is time for one.

    The runs count as told with the caller's transaction, in which the mails are asked for. Nobody is told
    of the death of such a mail itself: an address that is refused would have another mail written for ever.
    """
    # Of two at once, the second sees the mails of the first.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", ["notifications.alert"])
    alerts.dismiss(_own_mails())
    operators = conf.operators()
    if not operators:
        alerts.dismiss()
        return Alert()
    if selectors.recent(KIND, conf.alert_every()).exists():
        return Alert(waiting=alerts.pending().count())
    groups = alerts.take()
    if not groups:
        return Alert()
    about, context = f"alert:{uuid7()}", _context(groups)
    for operator in dict.fromkeys(operators):
        email_request(kind=KIND, recipient=operator, about=about, context=context)
    return Alert(told=context["total"])


def _own_mails() -> list[Any]:
    """The runs that were to send such mails and are dead."""
    dead = alerts.pending().filter(task="notifications.send_email").values("pk")
    return list(Email.objects.filter(kind=KIND, task_run__in=dead).values_list("task_run", flat=True))


def _context(groups: Sequence[DeadLetters]) -> dict[str, Any]:
    shown: dict[str, dict[str, Any]] = {}
    for group in groups[:_LINES]:
        task = shown.setdefault(group.task, {"name": group.task, "queue": group.queue, "lines": []})
        task["lines"].append(
            {
                "count": group.count,
                "reason": one_line(group.reason, _REASON),
                "latest_at": group.latest_at,
                "url": reverse("admin:tasks_taskrun_change", args=[group.latest]),
            }
        )
    for name, task in shown.items():
        task["total"] = sum(group.count for group in groups if group.task == name)
    return {
        "total": sum(group.count for group in groups),
        "tasks": list(shown.values()),
        "more": sum(group.count for group in groups[_LINES:]),
        "url": f"{reverse('admin:tasks_taskrun_changelist')}?state=dead",
    }
