"""Entity tags (RFC 9110): whether a client has an answer, and has seen what it would change."""

from __future__ import annotations

from hashlib import blake2b

from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags

from apps.core.problems import PreconditionFailed

#: Headers of an answer that a 304 in its place has, too.
_KEPT = ("ETag", "Cache-Control", "Content-Location", "Date", "Expires", "Vary", "Link")


def strong_tag(body: bytes) -> str:
    """The tag of these bytes and no others."""
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def is_held(request: HttpRequest, tag: str) -> bool:
    """Whether ``If-None-Match`` names the tag; compared weakly, as reading asks for."""
    given = request.META.get("HTTP_IF_NONE_MATCH")
    if not given:
        return False
    held: list[str] = parse_etags(given)
    return held == ["*"] or tag.removeprefix("W/") in {one.removeprefix("W/") for one in held}


def tagged(request: HttpRequest, response: HttpResponse, tag: str, *, is_all: bool) -> HttpResponse:
    """*response* with its *tag*, or 304 in its place where the client has it and the tag *is_all* of it."""
    response["ETag"] = tag
    if "Cache-Control" not in response:
        response["Cache-Control"] = "private, no-cache"
    return not_modified(response) if is_all and is_held(request, tag) else response


def not_modified(response: HttpResponse) -> HttpResponse:
    """304 in the place of *response*."""
    instead = HttpResponse(status=304)
    del instead["Content-Type"]
    for name in _KEPT:
        if name in response:
            instead[name] = response[name]
    return instead


def check_match(request: HttpRequest, tag: str) -> None:
    """Raises `PreconditionFailed` where ``If-Match`` does not name the tag; compared strongly (RFC 9110)."""
    wanted: list[str] = parse_etags(request.META.get("HTTP_IF_MATCH", ""))
    if wanted != ["*"] and (tag.startswith("W/") or tag not in wanted):
        raise PreconditionFailed
