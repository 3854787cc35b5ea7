"""Parts of bodies and answers that are of this app's kind."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.orders.amounts import text

_DECIMAL = re.compile(r"\d{1,40}(\.\d{1,40})?")
#: Digits that a number of JSON keeps.
_SAFE_DIGITS = 15


@extend_schema_field({"type": "string", "format": "decimal", "example": "0.25"})
class AmountField(serializers.Field[Decimal, Any, str, Any]):
    """An amount: given as decimal text or a number, answered as text, exact to 18 places."""

    default_error_messages = {
        "malformed": "Expected a decimal without sign or exponent, best as text: `0.25`.",
        "inexact": "A number in JSON does not keep so many digits: give it as text.",
    }

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, float):
            data = f"{Decimal(repr(data)):f}"
            if len(data.replace(".", "").strip("0")) > _SAFE_DIGITS:
                self.fail("inexact")
        elif isinstance(data, int) and not isinstance(data, bool):
            data = str(data)
        if not isinstance(data, str) or _DECIMAL.fullmatch(data) is None:
            self.fail("malformed")
        return Decimal(data)

    def to_representation(self, value: Decimal) -> str:
        return text(value)


def write_cursor(*place: Any) -> str:
    """Where a page ended, for the query of the next."""
    shown = [part.isoformat() if isinstance(part, datetime) else str(part) for part in place]
    return base64.urlsafe_b64encode(json.dumps(shown).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *, timed: bool) -> tuple[datetime | None, uuid.UUID]:
    """Where a page begins: the moment, if its order is *timed*, and the id. Raises `ValidationError`."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(parts, list) or len(parts) != (2 if timed else 1):
            raise ValueError(cursor)
        moment = datetime.fromisoformat(parts[0]) if timed else None
        if moment is not None and moment.utcoffset() is None:
            raise ValueError(cursor)
        return moment, uuid.UUID(parts[-1])
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error, RecursionError):
        raise serializers.ValidationError({"cursor": "Is not of a page of this list."}) from None
