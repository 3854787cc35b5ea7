"""Paging through tables that are too long to be counted."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property


class BoundedPaginator(Paginator[Any]):
    """Counts to a bound and no further; what lies beyond is found by filtering, or by key."""

    bound = 10_000

    @cached_property
    def count(self) -> int:
        """How many there are, or the bound."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            # Without an order: the first rows that come are as good as any to be counted.
            return rows.order_by().values("pk")[: self.bound].count()
        return len(rows[: self.bound])


class KeysetChangeList(ChangeList):
    """A list, newest first, that leads on to what is older than its last row."""

    @property
    def older_url(self) -> str:
        """The same list from behind the last row shown; empty on a list that ends here."""
        rows = list(self.result_list)
        if len(rows) < self.list_per_page:
            return ""
        name = self.lookup_opts.pk.name
        return self.get_query_string({f"{name}__lt": rows[-1].pk}, ["p"])
