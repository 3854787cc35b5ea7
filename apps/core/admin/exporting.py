"""Rows of a list as a file of comma-separated values."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from io import StringIO
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

#: Rows that are read at a time.
_CHUNK = 2000
#: What spreadsheets take for the beginning of a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_of(*columns: str) -> Callable[..., StreamingHttpResponse]:
    """An action that gives the selected rows with these *columns*, however many there are.

    Times are ISO 8601 in UTC, amounts have all their decimals. Texts that spreadsheets would compute are
    written with an apostrophe before them.
    """

    @admin.action(description="Export the selected rows as CSV", permissions=["view"])
    def export(
        model_admin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> StreamingHttpResponse:
        name = model_admin.opts.verbose_name_plural
        return StreamingHttpResponse(
            _lines(queryset, columns),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )

    return export


def _lines(queryset: QuerySet[Any], columns: tuple[str, ...]) -> Iterator[str]:
    buffer = StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for row in queryset.iterator(chunk_size=_CHUNK):
        writer.writerow([_cell(getattr(row, name)) for name in columns])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
