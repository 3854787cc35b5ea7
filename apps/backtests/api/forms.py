"""The forms that trades and curves are answered in, which of them a request wants, and whether it has it."""

from __future__ import annotations

import io
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from pyarrow import csv
from rest_framework.exceptions import NotAcceptable

from apps.core import tags

_MOMENT = pa.timestamp("ms", tz="UTC")
#: Columns of times.
_TIMES = ("ts", "entry_time", "exit_time")


class Form(StrEnum):
    """What ``format=`` may be."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` of such an answer."""
        return _MEDIA_TYPES[self]


#: By media type; the first is what a client gets that does not mind.
MEDIA_TYPES = {
    "application/json": Form.JSON,
    "text/csv": Form.CSV,
    "application/vnd.apache.arrow.stream": Form.ARROW,
}
_MEDIA_TYPES = {form: media_type for media_type, form in MEDIA_TYPES.items()}


def wanted_form(request: HttpRequest, asked: str | None) -> Form:
    """What ``format=`` says, or else the header ``Accept``. Raises `NotAcceptable`."""
    if asked is not None:
        return Form(asked)
    accept = request.META.get("HTTP_ACCEPT", "*/*")
    if accept in ("*/*", ""):
        return Form.JSON
    preferred = request.get_preferred_type(list(MEDIA_TYPES))
    if preferred is None:
        raise NotAcceptable(f"Available are {', '.join(MEDIA_TYPES)}.")
    return MEDIA_TYPES[preferred]


def tag_of(fingerprint: str, *parts: object) -> str:
    """A weak ``ETag``: of a result, of which nothing ever changes, and of what is asked for of it."""
    return f'W/"{blake2b(repr((fingerprint, *parts)).encode(), digest_size=12).hexdigest()}"'


def held(request: HttpRequest, tag: str) -> HttpResponse | None:
    """The answer that says so, where the client has the answer with this tag."""
    if not tags.is_held(request, tag):
        return None
    response = HttpResponse(status=304)
    del response["Content-Type"]
    return tagged(response, tag)


def tagged(response: HttpResponse, tag: str) -> HttpResponse:
    """The same with its tag. It may be kept by who asked, and has to be asked for again."""
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Accept"])
    return response


def as_json(body: dict[str, Any]) -> HttpResponse:
    """A body with numpy's arrays in it; floats are the shortest decimals that mean them."""
    return HttpResponse(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), content_type=Form.JSON.media_type
    )


def as_file(table: pa.Table, form: Form, name: str) -> HttpResponse:
    """A table as CSV or as an Arrow stream, with times as such; *name* is what a browser calls the file."""
    for place, column in enumerate(table.column_names):
        if column in _TIMES:
            table = table.set_column(place, column, table[column].cast(_MOMENT))
    sink = io.BytesIO()
    if form is Form.CSV:
        csv.write_csv(table, sink, csv.WriteOptions(quoting_style="needed"))
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    response = HttpResponse(sink.getvalue(), content_type=form.media_type)
    response["Content-Disposition"] = f'attachment; filename="{name}.{form.value}"'
    return response
