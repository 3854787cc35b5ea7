"""Paths of requests as they may be told: some hold tokens, by which whoever reads them could act or see."""

from __future__ import annotations

import logging
import re

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from apps.core import redaction

#: Whatever in a path may be a token: those of this product have 43 characters and more. Ids are none.
_TOKEN = re.compile(r"[\w:-]{24,}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
#: Characters of a path that are told.
_LONGEST = 512
#: Under this a request keeps its path as it may be told.
_KEPT = "_told_path"


def told(request: HttpRequest) -> str:
    """The path without its query, and without what in it is a secret by the name that the route gives it.

    Where there is no such address, whatever may be a token is masked: it may be good, and mistyped around it.
    """
    kept: str | None = vars(request).get(_KEPT)
    if kept is None:
        kept = _without_secrets(request.path, request)[:_LONGEST]
        setattr(request, _KEPT, kept)
    return kept


class PathFilter(logging.Filter):
    """Masks the same in what Django logs of a request, whose path is among the values of the record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record may have other values then."""
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            record.args = tuple(
                _without_secrets(one, request) if isinstance(one, str) else one for one in record.args
            )
        return True


def _without_secrets(text: str, request: HttpRequest) -> str:
    try:
        # Who is refused at the door, or sent to TLS, was led nowhere, and may have a secret in the path too.
        found = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return _TOKEN.sub(_masked, text)
    for name, value in found.kwargs.items():
        if redaction.is_secret(name):
            text = text.replace(str(value), redaction.MASK)
    return text


def _masked(word: re.Match[str]) -> str:
    return word[0] if _UUID.fullmatch(word[0]) else redaction.MASK
