"""The home of the admin: how everything stands, for those who may see it, kept up to date."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from apps.operations.cards import cards
from apps.operations.needs import needs
from apps.operations.snapshot import snapshot


def contents(user: Any) -> dict[str, Any]:
    """What the dashboard shows *user*: only what their permissions let them see on other pages."""
    seen = snapshot()
    return {
        "needs": [one for one in needs(seen) if not one.permission or user.has_perm(one.permission)],
        "at": seen.at,
        "servers": seen.servers,
        "cards": cards(seen, may=user.has_perm),
    }


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes, as HTML; 304 for whoever has this one already.

    It is for the browser's own cache, which asks before it is shown: there is nothing else to ask with.
    """
    body = render_to_string("operations/_dashboard.html", contents(request.user), request=request)
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    response: HttpResponse
    if tag in parse_etags(request.headers.get("If-None-Match", "")):
        response = HttpResponseNotModified()
    else:
        response = HttpResponse(body)
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    return response
