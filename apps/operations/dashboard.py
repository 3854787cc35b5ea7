"""The home of the admin: how everything stands, for those who may see it, kept up to date."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.core import tags
from apps.operations.cards import cards
from apps.operations.needs import needs
from apps.operations.snapshot import snapshot


def contents(user: Any) -> dict[str, Any]:
    """What the dashboard shows *user*: only what their permissions let them see on other pages."""
    seen = snapshot()

    def may(permission: str) -> bool:
        # Who may change rows may see them: the admin's pages do not ask for more.
        return bool(user.has_perm(permission) or user.has_perm(permission.replace(".view_", ".change_")))

    return {
        "needs": [one for one in needs(seen) if not one.permission or may(one.permission)],
        "at": seen.at,
        "servers": seen.servers,
        "cards": cards(seen, may=may),
    }


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes, as HTML; 304 for whoever has this one already.

    It is for the browser's own cache, which asks before it is shown: there is nothing else to ask with.
    """
    response = render(request, "operations/_dashboard.html", contents(request.user))
    return tags.tagged(request, response, tags.strong_tag(response.content), is_all=True)
