"""Parts of request bodies and queries that several apps take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

#: No moment before this, or from `LATEST` on, is taken.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

#: Kinds of fields, the first that fits -> what their values are in JSON.
_JSON_TYPES: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], tuple[type, ...]], ...] = (
    (serializers.BooleanField, (bool,)),
    (serializers.IntegerField, (int,)),
    (serializers.FloatField, (int, float)),
    (serializers.CharField, (str,)),
    (serializers.UUIDField, (str,)),
)

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_MILLISECOND = timedelta(milliseconds=1)


def utc(moment: datetime) -> str:
    """An aware moment as every answer has it: ISO 8601 in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses what it does not know, JSON of another type, and query parameters that are given twice."""

    #: Query parameters that may be given several times: their fields are given the list of values.
    repeatable: frozenset[str] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, list[str]] = {}
        asked = data
        if isinstance(data, QueryDict):
            times = Counter({name: len(data.getlist(name)) for name in data})
            errors = {
                name: ["May be given only once."]
                for name, count in times.items()
                if count > 1 and name not in self.repeatable
            }
            data = {name: data.getlist(name) if name in self.repeatable else data[name] for name in data}
        if isinstance(data, Mapping):
            known = ", ".join(self.fields)
            for name in data.keys() - self.fields.keys():
                errors[str(name)] = [f"Not known here. Known are: {known}."]
            if not isinstance(asked, QueryDict):
                errors |= self._of_other_types(data)
        if errors:
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)

    def _of_other_types(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        errors = {}
        for name, field in self.fields.items():
            value = data.get(name)
            held: Iterable[Any] = [value]
            if isinstance(field, serializers.ListField | serializers.DictField):
                # What is no list or object, the field itself refuses.
                held = value if isinstance(value, list) else ()
                held = value.values() if isinstance(value, dict) else held
                field = field.child
            if not all(_is_of_type(field, value) for value in held):
                errors[name] = [str(field.error_messages["invalid"])]
        return errors


def _is_of_type(field: Any, value: Any) -> bool:
    """Whether a value in JSON is of the field's type, or null. Fields that are not listed look themselves."""
    types = next((types for kind, types in _JSON_TYPES if isinstance(field, kind)), None)
    if types is None or value is None:
        return True
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types) or (int in types and isinstance(value, float) and value.is_integer())


@extend_schema_field(
    {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "format": "int64"}]}
)
class MomentField(serializers.Field[datetime, Any, str, Any]):
    """A moment: ISO 8601 with Z or an offset, or milliseconds since 1970 as an integer."""

    default_error_messages = {
        "malformed": "Expected ISO 8601 with Z or an offset (+ is %2B in a URL), or whole milliseconds.",
        "naive": "Needs Z or an offset from UTC.",
        "range": "Must lie between 1970 and 2200.",
    }

    def to_internal_value(self, data: Any) -> datetime:
        if isinstance(data, str) and _INTEGER.fullmatch(data):
            data = int(data)
        if isinstance(data, int) and not isinstance(data, bool):
            if not 0 <= data < (LATEST - EARLIEST) // _MILLISECOND:
                self.fail("range")
            return EARLIEST + data * _MILLISECOND
        try:
            moment = datetime.fromisoformat(data)
        except (TypeError, ValueError):
            self.fail("malformed")
        if moment.utcoffset() is None:
            self.fail("naive")
        if not EARLIEST <= moment < LATEST:
            self.fail("range")
        return moment

    def to_representation(self, value: datetime) -> str:
        return utc(value)
