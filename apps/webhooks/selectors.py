"""Reading endpoints and deliveries: whose they are, and page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.webhooks.models import Delivery, Endpoint


def endpoints(*, user: Any) -> QuerySet[Endpoint]:
    """The endpoints that *user* may see, newest first: their own; for staff, everybody's."""
    found = Endpoint.objects.select_related("account", "user")
    return found if user.is_staff else found.filter(user=user)


def deliveries(*, user: Any) -> QuerySet[Delivery]:
    """The deliveries that *user* may see, newest first: to their own endpoints; for staff, all."""
    found = Delivery.objects.select_related("endpoint")
    return found if user.is_staff else found.filter(endpoint__user=user)


def filtered(
    found: QuerySet[Delivery],
    *,
    outcome: str | None = None,
    layer: str | None = None,
    since: datetime | None = None,
) -> QuerySet[Delivery]:
    """Those of *found* that fulfil all conditions that are given."""
    conditions = {"outcome": outcome, "layer": layer, "at__gte": since}
    return found.filter(**{name: value for name, value in conditions.items() if value is not None})
