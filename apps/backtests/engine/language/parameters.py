"""Parameters of a strategy: what each may be, as JSON and as JSON Schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from apps.backtests.engine.errors import SpecError
from apps.backtests.engine.language import limits
from apps.backtests.engine.language.functions import RESERVED
from apps.backtests.engine.language.nodes import shown
from apps.backtests.engine.schema import validated

NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
LONGEST_NAME = 40
LONGEST_DESCRIPTION = 500


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter. ``default`` None means that it must be given; ``choices`` are those of type choice."""

    name: str
    type: str
    default: float | str | None
    min: float = 0.0
    max: float = 0.0
    step: float = 1.0
    choices: tuple[str, ...] = ()
    description: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The canonical JSON form."""
        if self.type == "choice":
            may_be: dict[str, Any] = {"choices": list(self.choices)}
        else:
            may_be = {"min": self.min, "max": self.max, "step": self.step}
        return {"type": self.type, "default": self.default, **may_be, "description": self.description}

    def schema(self) -> dict[str, Any]:
        """Its property in the JSON Schema of the parameters."""
        if self.type == "choice":
            rule: dict[str, Any] = {"type": "string", "enum": list(self.choices)}
        else:
            rule = {"type": self.type, "minimum": self.min, "maximum": self.max}
        if self.default is not None:
            rule["default"] = self.default
        return rule | {"description": self.description}


_KEYS = ("type", "default", "min", "max", "step", "choices", "description")


def parameter(name: str, value: Any, field: str) -> Parameter:
    """The parameter that *value*, decoded JSON, describes. Raises SpecError below *field*."""
    if not isinstance(value, Mapping):
        raise SpecError(field, "must be an object with type, default, min, max, step and description")
    for key in value:
        if key not in _KEYS:
            raise SpecError(f"{field}.{shown(key)}", f"is unknown; known are {', '.join(_KEYS)}")
    kind = value.get("type", "integer")
    if not isinstance(kind, str) or kind not in ("integer", "number", "choice"):
        raise SpecError(f"{field}.type", "must be one of integer, number, choice")
    description = text(value.get("description", ""), f"{field}.description", LONGEST_DESCRIPTION)
    if kind == "choice":
        return _choice(name, value, field, description)
    if value.get("choices") is not None:
        raise SpecError(f"{field}.choices", "belongs to type choice")
    known: dict[str, Any] = {}
    for key in ("min", "max", "step", "default"):
        given = value.get(key)
        if given is None and key in ("min", "max"):
            raise SpecError(f"{field}.{key}", "is required")
        known[key] = None if given is None else _number(given, kind, f"{field}.{key}")
    if known["min"] > known["max"]:
        raise SpecError(f"{field}.min", f"must be at most max ({known['max']:g})")
    if known["step"] is None:
        known["step"] = 1 if kind == "integer" else (known["max"] - known["min"]) / 10 or 1.0
    if known["step"] <= 0:
        raise SpecError(f"{field}.step", "must be greater than 0")
    if known["default"] is not None and not known["min"] <= known["default"] <= known["max"]:
        raise SpecError(f"{field}.default", f"must lie within {known['min']:g} and {known['max']:g}")
    return Parameter(name=name, type=kind, description=description, **known)


def parameters_schema(title: str, params: Mapping[str, Parameter]) -> dict[str, Any]:
    """JSON Schema (2020-12) of the values of *params*, publishable."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, item in params.items() if item.default is None],
        "properties": {name: item.schema() for name, item in params.items()},
    }


def values_of(schema: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """*given* complete and canonical, or SpecError naming ``params.<name>``."""
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise SpecError("params", "must be an object")
    return validated(schema, given, prefix="params.")


def identifier(name: Any, field: str, taken: Mapping[str, Any] | set[str]) -> str:
    """*name* if a parameter or let can have it, or SpecError."""
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not NAME.fullmatch(name) or iskeyword(name):
        raise SpecError(
            field, "is not a name: lower-case letters, then digits and single underscores, at most 40 in all"
        )
    if name in RESERVED:
        raise SpecError(field, f"cannot be named '{name}', which is part of the language")
    if name in taken:
        raise SpecError(field, f"is defined twice: '{name}'")
    return name


def text(value: Any, field: str, longest: int) -> str:
    """*value* if it is one line of printable text, blanks made single, or SpecError."""
    if not isinstance(value, str):
        raise SpecError(field, "must be a string")
    if len(value) > longest:
        raise SpecError(field, f"has at most {longest} characters")
    if not all(sign.isprintable() for sign in value):
        raise SpecError(field, "must be one line of printable characters")
    return " ".join(value.split())


def _choice(name: str, value: Mapping[str, Any], field: str, description: str) -> Parameter:
    for key in ("min", "max", "step"):
        if value.get(key) is not None:
            raise SpecError(f"{field}.{key}", "does not belong to type choice")
    choices = value.get("choices")
    if not isinstance(choices, list | tuple) or not 1 <= len(choices) <= limits.MOST_CHOICES:
        raise SpecError(f"{field}.choices", f"must be a list of 1 to {limits.MOST_CHOICES} names")
    for choice in choices:
        if not isinstance(choice, str) or not NAME.fullmatch(choice[:99]) or iskeyword(choice):
            raise SpecError(f"{field}.choices", "must be a list of names in lower case")
        if len(choice) > LONGEST_NAME or choices.count(choice) > 1:
            raise SpecError(f"{field}.choices", "must be different names of at most 40 characters")
    default = value.get("default")
    if default is not None and default not in choices:
        raise SpecError(f"{field}.default", f"must be one of {', '.join(choices)}")
    return Parameter(
        name=name, type="choice", default=default, choices=tuple(choices), description=description
    )


def _number(value: Any, kind: str, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(field, "must be an integer" if kind == "integer" else "must be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(field, "must be finite")
    if abs(value) > limits.HIGHEST_NUMBER:
        raise SpecError(field, f"must lie within {limits.HIGHEST_NUMBER:g}")
    if kind == "integer":
        if value != int(value):
            raise SpecError(field, "must be an integer")
        return int(value)
    return float(value) + 0.0
