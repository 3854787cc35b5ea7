"""The part of JSON Schema that specifications need, with errors that name the field.

A schema here is an ordinary JSON Schema ``object`` and can be published as it stands. Understood:
``type`` (integer, number, string, object, any of them or null as ``[…, "null"]``), ``enum``, ``minimum``,
``maximum``, ``exclusiveMinimum``, ``default``, ``required``, and ``properties`` of objects inside;
properties that a schema does not list are always refused. An object without ``properties``, and a
value without ``type``, is left as it is.
"""

from __future__ import annotations

import difflib
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
            raise SpecError(f"{prefix}{name}", f"is unknown{meant(name, properties)}")
    result: dict[str, Any] = {}
    for name, rule in properties.items():
        if name in values:
            result[name] = _value(rule, values[name], f"{prefix}{name}")
        elif name in schema.get("required", ()):
            raise SpecError(f"{prefix}{name}", "is required")
        else:
            result[name] = _value(rule, rule["default"], f"{prefix}{name}")
    return result


def meant(name: str, known: Mapping[str, Any]) -> str:
    """What to say after an unknown *name*: the known one that resembles it, or all known ones."""
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _value(rule: Schema, value: Any, field: str) -> Any:
    kind = rule.get("type")
    if isinstance(kind, list):
        if value is None:
            return None
        kind = kind[0]
    if kind == "object":
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise SpecError(field, "must be an object")
        return validated(rule, value, prefix=f"{field}.") if "properties" in rule else value
    if kind == "string":
        if not isinstance(value, str):
            raise SpecError(field, "must be a string")
    elif kind is not None:
        value = _number(kind == "integer", rule, value, field)
    if "enum" in rule and value not in rule["enum"]:
        raise SpecError(field, f"must be one of {', '.join(map(str, rule['enum']))}")
    return value


def _number(whole: bool, rule: Schema, value: Any, field: str) -> int | float:
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
