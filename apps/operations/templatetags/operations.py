"""The dashboard in templates of the admin, whatever site serves them."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext

from apps.operations import conf
from apps.operations.dashboard import contents

register = template.Library()


@register.inclusion_tag("operations/dashboard.html", takes_context=True)
def dashboard(context: RequestContext) -> dict[str, Any]:
    """How everything stands, and what keeps it up to date."""
    return {**contents(context["request"].user), "refresh": conf.REFRESH}
