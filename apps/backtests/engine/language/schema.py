"""JSON Schema (2020-12) of strategy documents, publishable. Its limits are those of the language."""

from __future__ import annotations

from typing import Any

from apps.backtests.engine.language import limits
from apps.backtests.engine.language.document import LONGEST_ABOUT, LONGEST_TITLE, VERSION
from apps.backtests.engine.language.functions import FUNCTIONS
from apps.backtests.engine.language.parameters import LONGEST_DESCRIPTION, LONGEST_NAME, NAME

_NAME = {"type": "string", "pattern": f"^{NAME.pattern}$", "maxLength": LONGEST_NAME}
_EXPRESSION = {"$ref": "#/$defs/expression"}
_SCALAR = {"$ref": "#/$defs/scalar"}
_OPTIONAL = {"anyOf": [_EXPRESSION, {"type": "null"}]}


def _closed(properties: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, **rules}


def _signal(description: str) -> dict[str, Any]:
    return _OPTIONAL | {"default": None, "description": description}


_LEVEL = {
    "anyOf": [
        {"type": "null"},
        _closed({"pct": _SCALAR}, required=["pct"]),
        _closed({"distance": _EXPRESSION}, required=["distance"]),
    ],
    "default": None,
}

DOCUMENT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Strategy",
    **_closed(
        {
            "version": {"const": VERSION, "default": VERSION},
            "name": _NAME | {"default": "custom"},
            "title": {"type": "string", "maxLength": LONGEST_TITLE},
            "description": {"type": "string", "maxLength": LONGEST_ABOUT, "default": ""},
            "params": {
                "type": "object",
                "maxProperties": limits.MOST_PARAMS,
                "propertyNames": _NAME,
                "additionalProperties": {"$ref": "#/$defs/parameter"},
                "default": {},
            },
            "let": {
                "type": "object",
                "maxProperties": limits.MOST_LETS,
                "propertyNames": _NAME,
                "additionalProperties": _EXPRESSION,
                "default": {},
                "description": "Named sub-expressions.",
            },
            "require": {
                "type": "array",
                "maxItems": limits.MOST_LETS,
                "items": _EXPRESSION,
                "default": [],
                "description": "Conditions on the parameters.",
            },
            "entry_long": _signal("Enter a long position at the close of a bar on which this holds."),
            "exit_long": _signal("Leave it."),
            "entry_short": _signal("Enter a short position."),
            "exit_short": _signal("Leave it."),
            "orders": {"$ref": "#/$defs/orders"},
            "risk": {"$ref": "#/$defs/risk"},
        },
        anyOf=[{"required": ["entry_long"]}, {"required": ["entry_short"]}],
    ),
    "$defs": {
        "expression": {
            "description": (
                "An expression as text, or as a tree: a number, a text, or an object with one key, an "
                "operator or function, and the list of its operands. Functions besides indicators: "
                + ", ".join(function.signature for function in FUNCTIONS.values())
            ),
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": limits.LONGEST_TEXT},
                {"type": "number", "minimum": -limits.HIGHEST_NUMBER, "maximum": limits.HIGHEST_NUMBER},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {"type": "array", "items": _EXPRESSION},
                },
            ],
        },
        "scalar": {
            "description": "A number, or an expression of parameters.",
            "$ref": "#/$defs/expression",
        },
        "parameter": {
            "anyOf": [
                _closed(
                    {
                        "type": {"enum": ["integer", "number"], "default": "integer"},
                        "default": {"type": ["number", "null"], "description": "null: must be given"},
                        "min": {"type": "number"},
                        "max": {"type": "number"},
                        "step": {"type": ["number", "null"], "description": "of a sweep"},
                        "choices": {"type": "null"},
                        "description": {"type": "string", "maxLength": LONGEST_DESCRIPTION},
                    },
                    required=["min", "max"],
                ),
                _closed(
                    {
                        "type": {"const": "choice"},
                        "default": {"type": ["string", "null"]},
                        "min": {"type": "null"},
                        "max": {"type": "null"},
                        "step": {"type": "null"},
                        "choices": {
                            "type": "array",
                            "items": _NAME,
                            "minItems": 1,
                            "maxItems": limits.MOST_CHOICES,
                            "uniqueItems": True,
                        },
                        "description": {"type": "string", "maxLength": LONGEST_DESCRIPTION},
                    },
                    required=["type", "choices"],
                ),
            ]
        },
        "orders": {
            "anyOf": [
                {"type": "null"},
                _closed(
                    {
                        "entry": {"enum": ["market", "limit", "stop"], "default": "market"},
                        "offset": _SCALAR | {"default": 0.0},
                        "long_price": _OPTIONAL,
                        "short_price": _OPTIONAL,
                        "valid_bars": _SCALAR | {"default": 1.0},
                    }
                ),
            ],
            "description": "How entries are ordered: offset is a fraction of the close, or prices are given.",
        },
        "risk": {
            "anyOf": [
                {"type": "null"},
                _closed(
                    {
                        "stop_loss": _LEVEL,
                        "take_profit": _LEVEL,
                        "trailing": _LEVEL,
                        "time_stop": {"anyOf": [_SCALAR, {"type": "null"}], "default": None},
                        "base": {"enum": ["fill", "signal_close"], "default": "fill"},
                    }
                ),
            ],
            "description": "pct is a fraction of the base price, 0 for none; distance is in price.",
        },
    },
}
