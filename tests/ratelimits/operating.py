"""What tests of operators share: addresses of the admin, texts of pages, and what waits for the audit."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.http import HttpResponseBase
from django.test import RequestFactory
from django.urls import reverse

from apps.audit.tasks import write_entries
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import Charge, Decision
from apps.tasks.models import Entry

LIST = reverse("admin:ratelimits_policychange_changelist")
ADD = reverse("admin:ratelimits_policychange_add")
CONSUMERS = reverse("admin:ratelimits_policychange_consumers")
DENIALS = reverse("admin:ratelimits_policychange_denials")
SUBJECT = reverse("admin:ratelimits_policychange_subject")
RESET = reverse("admin:ratelimits_policychange_reset")
ADDRESSES = reverse("admin:ratelimits_addressrule_changelist")
ADD_ADDRESS = reverse("admin:ratelimits_addressrule_add")


def page_of(row: Any, page: str = "change") -> str:
    return reverse(f"admin:ratelimits_{row._meta.model_name}_{page}", args=[row.pk])


def text(response: HttpResponseBase) -> str:
    assert response.status_code == 200
    return unescape(response.content.decode())


def content(response: HttpResponseBase) -> str:
    """What a page of its own says, without what all pages of the admin have around it."""
    return text(response).split('id="content-main"')[1]


def cells(table: str) -> list[list[str]]:
    """The texts of the cells of a table, row by row, without its head."""
    rows = re.findall(r"<tr>.*?</tr>", table.split("</thead>")[1].split("</table>")[0], re.DOTALL)
    found = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in rows]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in found]


def errors(response: HttpResponseBase) -> dict[str, list[str]]:
    """What a form of the admin says is wrong with it, by field."""
    assert response.status_code == 200
    return {field: list(found) for field, found in response.context["adminform"].form.errors.items()}


def messages(response: HttpResponseBase) -> list[str]:
    return [str(one) for one in response.context["messages"]]


def audited(*actions: str) -> list[dict[str, Any]]:
    """What was put for the audit of these actions, in its order, with the actor of its context."""
    return [
        {"actor": one.meta.get("actor", ""), **one.payload}
        for one in Entry.objects.filter(task=write_entries.name).order_by("pk")
        if one.payload["action"] in actions
    ]


def charge(rule: str, subject: str, units: int = 1, plan: str = "") -> Decision:
    """Charge this subject under a rule, as a request of it would be, and have the counts brought to Redis."""
    limits = engine()
    policy = limits.rules().rule(rule).policy(plan)
    assert policy is not None
    decision = limits.hit([Charge(policy, subject)], units)
    limits.tally.count("decisions", rule.partition("/")[0], "allowed" if decision.allowed else "denied")
    limits.tally.decided(decision, request=RequestFactory().get("/plain"), address="203.0.113.7")
    limits.tally.flush(limits.limiter.transport)
    return decision
