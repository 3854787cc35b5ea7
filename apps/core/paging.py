"""Lists by pages that nothing moves: a page begins behind the last row of the one before."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def newest(found: QuerySet[Row], *, before: Any, limit: int, by: str = "pk") -> tuple[list[Row], Any | None]:
    """Up to *limit* rows in descending order of the unique column *by*, below *before* if given.

    The second part is what *before* is for the next page; None where there is none.
    """
    if before is not None:
        found = found.filter(**{f"{by}__lt": before})
    some = list(found.order_by(f"-{by}")[: limit + 1])
    return some[:limit], getattr(some[limit - 1], by) if len(some) > limit else None
