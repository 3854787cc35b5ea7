"""How values are written in e-mails."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django import template

register = template.Library()


@register.filter
def moment(value: Any, precision: str = "seconds") -> str:
    """A time in UTC, from ISO 8601; with ``minutes``, to the minute. Anything else is left as it is."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    if at.utcoffset() is None:
        return str(value)
    at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M} UTC" if precision == "minutes" else f"{at:%Y-%m-%d %H:%M:%S} UTC"


@register.filter
def amount(value: Any) -> str:
    """A quantity without zeros at its end. Anything else is left as it is."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return f"{number.normalize():f}" if number.is_finite() else str(value)
