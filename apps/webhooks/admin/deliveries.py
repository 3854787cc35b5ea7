"""The delivery log in the admin: looked at, and searched."""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import DescribedAdmin, Tone, badge, list_link, moment, stacked
from apps.core.admin.filters import aged, among
from apps.orders.admin.shown import ModeFilter, link, mode
from apps.webhooks.codes import CODES, Outcome
from apps.webhooks.formats import FORMATS
from apps.webhooks.models import Delivery, Endpoint

_TONES = {
    Outcome.ACCEPTED: Tone.GOOD,
    Outcome.RECORDED: Tone.WAIT,
    Outcome.DUPLICATE: Tone.OVER,
    Outcome.REFUSED: Tone.LATE,
    Outcome.FAILED: Tone.BAD,
}
_FIELDS = (
    "id", "at", "to", "outcome_badge", "layer", "code", "detail", "status", "signal", "symbol", "traded",
    "order", "key", "format", "address", "user_agent", "size", "body_digest", "body_text", "milliseconds",
    "request_id", "audit",
)  # fmt: skip


@admin.register(Delivery)
class DeliveryAdmin(DescribedAdmin):
    """Every request that came to a webhook's address."""

    list_display = ("when", "to", "outcome_badge", "what", "order", "sender", "took")
    comes = "Every request to the address of an endpoint is logged, whatever came of it."
    list_filter = (
        "outcome", "layer", aged("at", "in the last"), ModeFilter,
        among("format", lambda: [(name, name) for name in FORMATS]),
        among("code", lambda: [(code, code.replace("_", " ")) for code in (*CODES, "no_action")]),
    )  # fmt: skip
    list_select_related = ("endpoint__user",)
    sortable_by = ()
    #: That there are any shows the field; `get_search_results` says which.
    search_fields = ("id", "order_id", "request_id", "key", "address", "endpoint__name", "endpoint__user")
    search_help_text = (
        "The id of a delivery, an order, an endpoint or a request; a key; an address; part of the name of an"
        " endpoint or a user"
    )
    fields = readonly_fields = _FIELDS

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one endpoint, where its page leads."""
        return lookup == "endpoint__id__exact" or super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """By what it may be, each of which has an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        with suppress(ValueError):
            wanted = UUID(term)
            by_id = Q(pk=wanted) | Q(order_id=wanted) | Q(endpoint_id=wanted) | Q(request_id=term)
            return queryset.filter(by_id), False
        with suppress(ValueError):
            return queryset.filter(address=str(ip_address(term))), False
        named = Endpoint.objects.filter(Q(name__icontains=term) | Q(user__username__icontains=term))
        # Looked for first: a condition on another table in this one would have the whole log read.
        endpoints = list(named.values_list("pk", flat=True))
        found = Q(endpoint_id__in=endpoints) | Q(key__in=[term, f"id:{term}"]) | Q(request_id=term)
        return queryset.filter(found), False

    @admin.display(description="at (UTC)", ordering="id")
    def when(self, delivery: Delivery) -> SafeString | str:
        """To the millisecond."""
        return moment(delivery.at, f"{delivery.at:%Y-%m-%d %H:%M:%S}.{delivery.at.microsecond // 1000:03d}")

    @admin.display(description="endpoint, user")
    def to(self, delivery: Delivery) -> SafeString | str:
        """A link to the endpoint, and whose it is."""
        endpoint = delivery.endpoint
        if endpoint is None:
            return "unknown token"
        url = reverse("admin:webhooks_endpoint_change", args=[endpoint.pk])
        return stacked(format_html('<a href="{}">{}</a>', url, endpoint), endpoint.user)

    @admin.display(description="outcome, why")
    def outcome_badge(self, delivery: Delivery) -> SafeString:
        """What became of it, and why."""
        outcome = Outcome(delivery.outcome)
        why = f"{delivery.status} {delivery.code.replace('_', ' ')}".strip()
        return stacked(badge(outcome.value, _TONES[outcome], outcome.label), why)

    @admin.display(description="signal")
    def what(self, delivery: Delivery) -> SafeString | str:
        """What was asked for."""
        if not delivery.signal:
            return ""
        return stacked(f"{delivery.signal.replace('_', ' ')} {delivery.symbol}", self.traded(delivery))

    @admin.display(description="traded")
    def traded(self, delivery: Delivery) -> str:
        """On paper or for real."""
        return "" if delivery.simulation is None else mode(delivery.simulation)

    @admin.display(description="order")
    def order(self, delivery: Delivery) -> SafeString | str:
        """A link to the order that followed."""
        return (
            ""
            if delivery.order_id is None
            else link("order", delivery.order_id, f"…{delivery.order_id.hex[-6:]}")
        )

    @admin.display(description="from")
    def sender(self, delivery: Delivery) -> SafeString:
        """The address, and what sent it."""
        return stacked(delivery.address or "", delivery.user_agent[:60])

    @admin.display(description="took")
    def took(self, delivery: Delivery) -> str:
        """Until the answer was known."""
        return f"{delivery.milliseconds:,.1f} ms"

    @admin.display(description="body")
    def body_text(self, delivery: Delivery) -> SafeString | str:
        """What was read of it, without secrets."""
        body: Any = delivery.body
        if body is None:
            return ""
        text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)

    @admin.display(description="audit")
    def audit(self, delivery: Delivery) -> SafeString:
        """Links to its entry, and to those of the same request."""
        its = list_link("audit_entry", "its entry", q=delivery.pk)
        if not delivery.request_id:
            return its
        same = list_link("audit_entry", "of the same request", correlation_id=delivery.request_id)
        return format_html("{} · {}", its, same)
