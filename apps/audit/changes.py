"""What a change came to: the fields that differ, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model

_ABSENT = object()


class Changes:
    """Of two sets of fields those that differ. Is false where none does."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """A field that one side lacks differs, and is left out on that side."""
        differing = [
            name
            for name in dict.fromkeys([*before, *after])
            if before.get(name, _ABSENT) != after.get(name, _ABSENT)
        ]
        self.before = {name: before[name] for name in differing if name in before}
        self.after = {name: after[name] for name in differing if name in after}

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    def __repr__(self) -> str:
        return f"Changes({self.before!r}, {self.after!r})"


def fields_of(instance: Model, names: Iterable[str]) -> dict[str, Any]:
    """These fields of a row, as it is now; of related rows their keys."""
    return {name: getattr(instance, instance._meta.get_field(name).attname) for name in names}  # type: ignore[union-attr]
