"""Documents as HTTP responses: JSON, compressed where that is accepted, and not sent twice."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

import orjson
from csp.constants import NONE
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers

from apps.core import csp, tags

_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)", re.IGNORECASE)
# Fast: it is compressed anew for every answer.
_LEVEL = 1


def encoded(request: HttpRequest, body: bytes, *, kind: str) -> HttpResponse:
    """A response with this body, compressed if the client takes that."""
    packed = bool(_GZIP.search(request.headers.get("Accept-Encoding", "")))
    response = HttpResponse(gzip.compress(body, _LEVEL, mtime=0) if packed else body, content_type=kind)
    if packed:
        response["Content-Encoding"] = "gzip"
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def guarded(response: HttpResponse) -> HttpResponse:
    """A page that posts nothing, and whose address may be a key: it is not told to sites that it links to."""
    response["Referrer-Policy"] = "same-origin"
    return csp.replace(response, form_action=[NONE])


def json(request: HttpRequest, value: Any, *, status: int = 200) -> HttpResponse:
    """A value of JSON types that is not to be kept by anybody."""
    response = encoded(request, orjson.dumps(value), kind="application/json")
    response.status_code = status
    response["Cache-Control"] = "private, no-store"
    return response


def tagged(request: HttpRequest, tag: str, make: Callable[[], dict[str, Any]]) -> HttpResponse:
    """What *make* returns as JSON, made only if the client does not have it under this *tag* yet."""
    etag = f'W/"{tag}"'
    response: HttpResponse
    if tags.is_held(request, etag):
        response = HttpResponseNotModified()
        patch_vary_headers(response, ["Accept-Encoding"])
    else:
        response = encoded(request, orjson.dumps(make()), kind="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response
