"""Pages of a table that may have millions of rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet


class BoundedPaginator(Paginator[Any]):
    """Counts to a bound and no further; what lies beyond is found by filtering, not by leafing."""

    bound = 10_000

    @cached_property
    def count(self) -> int:
        """How many there are, or the bound."""
        runs = cast("QuerySet[Any]", self.object_list)
        return runs.order_by()[: self.bound].count()
