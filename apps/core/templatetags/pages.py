"""What all public pages have in common."""

from __future__ import annotations

from typing import Any

from django import template
from django.db import DatabaseError, InterfaceError
from django.template.context import RequestContext

register = template.Library()

#: Place -> its name, and its route.
_PLACES = {"charts": ("Charts", "charts"), "reports": ("Reports", "reports"), "docs": ("API", "docs")}


@register.inclusion_tag("core/_bar.html", takes_context=True)
def bar(context: RequestContext, here: str = "") -> dict[str, Any]:
    """The navigation; *here* is the place that the page belongs to.

    It is shown also while the database is away, and to who was denied: to nobody in particular.
    """
    request = context["request"]
    # Who was denied before anybody looked has none.
    user = getattr(request, "user", None)
    try:
        user = user if user is not None and user.is_authenticated else None
    except (DatabaseError, InterfaceError):
        user = None
    return {
        "viewer": user,
        "places": [(name, route, key == here) for key, (name, route) in _PLACES.items()],
        "here": here,
        "path": "" if here == "sign-in" else request.get_full_path(),
    }
