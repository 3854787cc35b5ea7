"""How the OpenAPI schema tells of what `StrictSerializer` takes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers


class StrictExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says that unknown properties are refused, and texts without a character where they are."""

    target_class = "apps.core.serializers.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        schema["additionalProperties"] = False
        properties = schema.get("properties", {})
        for name, field in self.target.fields.items():
            described = properties.get(name, {})
            if isinstance(field, serializers.ListField):
                field, described = field.child, described.get("items", {})
            if isinstance(field, serializers.CharField) and not field.allow_blank and "$ref" not in described:
                described.setdefault("minLength", 1)
        return schema
