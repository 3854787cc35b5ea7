"""What problems mean, at the addresses that are their types: a page, or JSON for whoever accepts no HTML."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from apps.core.problemtypes import PROBLEM_TYPES, ProblemType

_CODE = re.compile(r"`([^`]+)`")


@require_safe
def problem_list(request: HttpRequest) -> HttpResponse:
    """All kinds of problems."""
    if _wants_json(request):
        return _varying(JsonResponse([_as_json(one) for one in PROBLEM_TYPES.values()], safe=False))
    return _varying(render(request, "core/problem_types.html", {"kinds": PROBLEM_TYPES.values()}))


@require_safe
def problem_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One kind of problem."""
    kind = PROBLEM_TYPES.get(name)
    if kind is None:
        raise Http404
    if _wants_json(request):
        return _varying(JsonResponse(_as_json(kind)))
    texts = {"meaning": _marked_up(kind.meaning), "remedy": _marked_up(kind.remedy)}
    return _varying(render(request, "core/problem_type.html", {"kind": kind, **texts}))


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _as_json(kind: ProblemType) -> dict[str, Any]:
    return {"type": reverse("problem-detail", args=[kind.name]), **asdict(kind)}


def _varying(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["Accept"])
    return response


def _marked_up(text: str) -> SafeString:
    """The text with its code words as such."""
    return mark_safe(_CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S308 (escaped before)
