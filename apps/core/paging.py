"""Lists by pages that nothing moves: a page begins behind the last row of the one before."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.serializers import StrictSerializer
from apps.core.views import link_next

Row = TypeVar("Row", bound=Model)

_PAGING = frozenset({"limit", "after"})
_NUMBER = re.compile(r"[0-9]{1,18}")


def newest(found: QuerySet[Row], *, before: Any, limit: int, by: str = "pk") -> tuple[list[Row], Any | None]:
    """Up to *limit* rows in descending order of the unique column *by*, below *before* if given.

    The second part is what *before* is for the next page; None where there is none.
    """
    if before is not None:
        found = found.filter(**{f"{by}__lt": before})
    some = list(found.order_by(f"-{by}")[: limit + 1])
    return some[:limit], getattr(some[limit - 1], by) if len(some) > limit else None


def page(
    found: QuerySet[Row], *, after: Any, limit: int, timed: bool
) -> tuple[list[Row], tuple[Any, ...] | None]:
    """Up to *limit* rows, newest first, that come after the row at *after*; and where the next page begins.

    Where they are *timed*, newest is by ``created_at`` and id, and *after* is these two; else by id alone.
    """
    if not timed:
        rows, last_id = newest(found, before=after, limit=limit)
        return rows, None if last_id is None else (last_id,)
    if after is not None:
        at, pk = after
        found = found.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=pk))
    some: list[Any] = list(found.order_by("-created_at", "-pk")[: limit + 1])
    last = some[limit - 1] if len(some) > limit else None
    return some[:limit], None if last is None else (last.created_at, last.pk)


def moment(text: str) -> datetime:
    """A part of a cursor that is a moment, in UTC. Raises `ValueError`."""
    found = datetime.fromisoformat(text)
    if found.utcoffset() is None:
        raise ValueError(text)
    return found.astimezone(UTC)


def number(text: str) -> int:
    """A part of a cursor that is a whole number of 64 bits. Raises `ValueError`."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)


def words(text: str) -> str:
    """A part of a cursor that is text which a database takes. Raises `ValueError`."""
    # Half of a surrogate pair is none.
    text.encode()
    if "\0" in text:
        raise ValueError(text)
    return text


class PageQuerySerializer(StrictSerializer):
    """The query parameters that lists have: ``after``, once they are read, is for `page`."""

    #: Whether the order of the list is that of a time, and of ids where that is the same.
    timed = False

    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)
    cursor = serializers.CharField(required=False, help_text="From the `Link` of the page before.")

    def place(self, attrs: dict[str, Any]) -> tuple[Callable[[str], Any], ...]:
        """How each part of a cursor of this list is read, given what else was asked for."""
        return (moment, uuid.UUID) if self.timed else (uuid.UUID,)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the cursor."""
        if "cursor" in attrs:
            place = _read_cursor(attrs.pop("cursor"), self.place(attrs))
            attrs["after"] = place if len(place) > 1 else place[0]
        return attrs

    def conditions(self) -> dict[str, Any]:
        """What was asked for beside the page, once it is valid."""
        return {name: value for name, value in self.validated_data.items() if name not in _PAGING}


def listed(
    request: Request,
    found: QuerySet[Any],
    asked: PageQuerySerializer,
    shown: type[serializers.BaseSerializer[Any]],
) -> Response:
    """The page of *found* that was *asked* for, which is valid, with the address of the next."""
    after, limit = asked.validated_data.get("after"), asked.validated_data["limit"]
    rows, following = page(found, after=after, limit=limit, timed=asked.timed)
    response = Response(shown(rows, many=True, context={"request": request}).data)
    return followed(request, response, following)


def followed(request: Request, response: Response, place: tuple[Any, ...] | None) -> Response:
    """*response* with the address of the page that begins at *place*, if there is one."""
    if place is not None:
        link_next(request, response, write_cursor(*place))
    return response


def write_cursor(*place: Any) -> str:
    """Where a page ended, for the query of the next."""
    shown = [part.isoformat() if isinstance(part, datetime) else str(part) for part in place]
    return base64.urlsafe_b64encode(json.dumps(shown).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, place: tuple[Callable[[str], Any], ...]) -> tuple[Any, ...]:
    """Where a page begins, each part as *place* says. Raises `ValidationError`."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise ValueError(cursor)
        return tuple(read(part) for read, part in zip(place, parts, strict=True))
    except (ValueError, OverflowError, RecursionError):
        raise serializers.ValidationError({"cursor": "Is not of a page of this list."}) from None
