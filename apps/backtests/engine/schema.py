"""The part of JSON Schema that specifications need, with errors that name the field.

A schema here is an ordinary JSON Schema ``object`` and can be published as it stands. Understood:
``type`` (integer, number, string, object), ``enum``, ``minimum``, ``maximum``, ``exclusiveMinimum``,
``default``, ``required``; properties that a schema does not list are always refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from apps.backtests.engine.errors import SpecError

Schema = Mapping[str, Any]


def validated(schema: Schema, values: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """*values* with defaults filled in, in the order of the schema, numbers in one canonical type.

    An ``integer`` comes back as int (10.0 is the integer 10, as in JSON Schema), a ``number`` as float
    without a negative zero: equal specifications become identical values.

    Raises:
        SpecError: naming ``prefix`` + the property.
    """
    properties: Mapping[str, Schema] = schema["properties"]
    for name in values:
        if name not in properties:
            raise SpecError(f"{prefix}{name}", f"is unknown; known are {', '.join(properties)}")
    result: dict[str, Any] = {}
    for name, rule in properties.items():
        if name in values:
            result[name] = _value(rule, values[name], f"{prefix}{name}")
        elif name in schema.get("required", ()):
            raise SpecError(f"{prefix}{name}", "is required")
        else:
            result[name] = rule["default"]
    return result


def _value(rule: Schema, value: Any, field: str) -> Any:
    kind = rule["type"]
    if kind == "object":
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise SpecError(field, "must be an object")
        return value
    if kind == "string":
        if not isinstance(value, str):
            raise SpecError(field, "must be a string")
    else:
        value = _number(rule, value, field)
    if "enum" in rule and value not in rule["enum"]:
        raise SpecError(field, f"must be one of {', '.join(map(str, rule['enum']))}")
    return value


def _number(rule: Schema, value: Any, field: str) -> int | float:
    whole = rule["type"] == "integer"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(field, "must be an integer" if whole else "must be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(field, "must be finite")
    if whole and value != int(value):
        raise SpecError(field, "must be an integer")
    if "minimum" in rule and value < rule["minimum"]:
        raise SpecError(field, f"must be at least {rule['minimum']:g}")
    if "exclusiveMinimum" in rule and value <= rule["exclusiveMinimum"]:
        raise SpecError(field, f"must be greater than {rule['exclusiveMinimum']:g}")
    if "maximum" in rule and value > rule["maximum"]:
        raise SpecError(field, f"must be at most {rule['maximum']:g}")
    # Adding zero turns -0.0 into 0.0, which would otherwise be equal but hash differently.
    return int(value) if whole else float(value) + 0.0
