"""The page behind the link in mails."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.notifications import preferences
from apps.notifications.models import Preference
from apps.notifications.unsubscribing import subscription


# The link itself is the credential: mail programs post without a session (RFC 8058).
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks, since programs follow links; POST turns the mails off, or with ``again`` on."""
    found = subscription(token)
    if found is None:
        return _page(request, "unknown", 404)
    label, enabled = found.kind.label, "again" in request.POST
    if not found.kind.changeable:
        return _page(request, "unchangeable", 409, label)
    if request.method != "POST":
        return _page(request, "ask" if preferences.wants(found.user.pk, found.kind) else "off", 200, label)
    preferences.preferences_set(
        user_id=found.user.pk, enabled={found.kind.name: enabled}, source=Preference.Source.LINK
    )
    return _page(request, "on" if enabled else "off", 200, label)


def _page(request: HttpRequest, state: str, code: int, label: str = "") -> HttpResponse:
    response = render(
        request, "notifications/unsubscribe.html", {"state": state, "label": label}, status=code
    )
    response["X-Robots-Tag"] = "noindex"
    response["Referrer-Policy"] = "no-referrer"
    return response
