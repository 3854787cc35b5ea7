"""The page that everything begins at, and the document that keeps it up to date."""

from __future__ import annotations

import json
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from apps.core import tags
from apps.operations import conf
from apps.operations.status import status

#: Where nothing is to be found for those who look at everything, or nothing that is for everybody.
_ROBOTS = "".join(
    f"{line}\n"
    for line in (
        "User-agent: *",
        *(
            f"Disallow: {place}"
            for place in (
                "/admin/",
                "/api/v1/",
                "/backtests/",
                "/webhooks/",
                "/notifications/",
                "/login",
                "/logout",
            )
        ),
    )
)


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """What this is, how it stands, and where everything is."""
    user = _user(request)
    context = {"status": status(user), "refresh": conf.REFRESH}
    response = render(request, "operations/landing.html", context)
    response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
def status_json(request: HttpRequest) -> HttpResponse:
    """How things stand, as whoever asks may know it; 304 for whoever has this already.

    ``status`` is operational, degraded or down. ``figures`` has texts by name, ``prices`` the latest of
    followed instruments; ``states``, of servers and processes, is for staff unless ``STATUS_PUBLIC``.
    """
    body = json.dumps(status(_user(request)).document(), separators=(",", ":")).encode()
    response = HttpResponse(body, content_type="application/json")
    patch_vary_headers(response, ["Cookie"])
    return tags.tagged(request, response, tags.strong_tag(body), is_all=True)


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """What robots may look at."""
    return HttpResponse(_ROBOTS, content_type="text/plain")


def _user(request: HttpRequest) -> Any:
    """Who asks; None for nobody, and while the database is away, which has to be told all the same."""
    try:
        return request.user if request.user.is_authenticated else None
    except (DatabaseError, InterfaceError):
        return None
