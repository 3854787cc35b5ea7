"""The ``Content-Security-Policy`` of every answer.

Pages get the policy of the settings (django-csp's ``CONTENT_SECURITY_POLICY``), in which no script and no
style stands inside a page; those that need another say so by `replace` and `update`, or bring a header of
their own. Whatever is no page may do nothing at all, should a browser open it as one.
"""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser
from typing import Any

from csp.constants import HEADER, NONE
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.core.answering import GetResponse, HeaderMiddleware

#: Of answers that are no pages.
BARE = f"default-src {NONE}; frame-ancestors {NONE}"
#: Django's own pages of errors are styled from within, and only shown while debugging.
_DEBUGGED = (404, 500)


class ContentPolicyMiddleware(HeaderMiddleware):
    """Gives every answer its policy. There are no nonces: pages have all scripts and styles in files."""

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self._page = _built()

    def after(self, request: HttpRequest, response: HttpResponse) -> None:
        if HEADER in response.headers or getattr(response, "_csp_exempt", False):
            return
        if settings.DEBUG and response.status_code in _DEBUGGED:
            return
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers[HEADER] = BARE
            return
        update, replace = (getattr(response, f"_csp_{name}", None) for name in ("update", "replace"))
        own = _built(update=update, replace=replace) if update or replace else self._page
        response.headers[HEADER] = own


def _built(**own: Any) -> str:
    """The policy of the settings with a page's own sources, in the same order in all processes."""
    return "; ".join(sorted(build_policy(**own).split("; ")))


def replace(response: HttpResponse, **directives: list[str]) -> HttpResponse:
    """Have the policy of this page say these sources; as django-csp's decorator, for a view of any kind."""
    response._csp_replace = {_spelled(name): sources for name, sources in directives.items()}  # type: ignore[attr-defined]
    return response


def update(response: HttpResponse, **directives: list[str]) -> HttpResponse:
    """Have the policy of this page allow these sources as well."""
    response._csp_update = {_spelled(name): sources for name, sources in directives.items()}  # type: ignore[attr-defined]
    return response


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def hash_of(text: str) -> str:
    """The source of a policy that allows an inline script or style of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def styles_of(*pages: str) -> list[str]:
    """The sources of ``style-src`` that allow what is styled from within these HTML documents."""
    reader = _Styles()
    for page in pages:
        reader.feed(page)
    reader.close()
    return sorted(map(hash_of, reader.found))


class _Styles(HTMLParser):
    """Collects style elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_style = tag == "style"
        self.found.update(value for name, value in attrs if name == "style" and value)

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.found.add(data)
