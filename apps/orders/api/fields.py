"""Parts of bodies and answers that are of this app's kind."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.orders.amounts import text

_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")
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


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "format": "decimal", "pattern": f"^{_DECIMAL.pattern}$"},
            {"type": "number", "minimum": 0},
        ],
        "example": "0.25",
    }
)
class AskedAmountField(AmountField):
    """An amount that is asked for, and not answered."""
