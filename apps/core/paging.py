"""Lists by pages that nothing moves: a page begins behind the last row of the one before."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.serializers import StrictSerializer
from apps.core.views import link_next

Row = TypeVar("Row", bound=Model)


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


class PageQuerySerializer(StrictSerializer):
    """The query parameters that lists have: ``after``, once they are read, is for `page`."""

    #: Whether the order of the list is that of a time, and of ids where that is the same.
    timed = False

    limit = serializers.IntegerField(min_value=1, max_value=200, default=50)
    cursor = serializers.CharField(required=False, help_text="From the `Link` of the page before.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the cursor."""
        if "cursor" in attrs:
            moment, pk = _read_cursor(attrs.pop("cursor"), timed=self.timed)
            attrs["after"] = (moment, pk) if self.timed else pk
        return attrs


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
    if following is not None:
        link_next(request, response, write_cursor(*following))
    return response


def write_cursor(*place: Any) -> str:
    """Where a page ended, for the query of the next."""
    shown = [part.isoformat() if isinstance(part, datetime) else str(part) for part in place]
    return base64.urlsafe_b64encode(json.dumps(shown).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, *, timed: bool) -> tuple[datetime | None, uuid.UUID]:
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
