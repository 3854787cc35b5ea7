"""The page of a sweep, and the document that it shows."""

from __future__ import annotations

import uuid
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.backtests.api.finding import still_there
from apps.backtests.report import answers
from apps.backtests.report.file import module_names
from apps.backtests.report.sweeps.document import about, standing_of, sweep_document, title_of
from apps.backtests.sweeps import selectors
from apps.backtests.sweeps.models import Sweep

_FOLDER = "backtests/sweep"
#: Modules of the report's page that this one has no use for.
_OTHERS = {"main", "candles", "compare", "loading", "markers", "trades", "view"}


@require_safe
def report(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponse:
    """The sweep's page, from the first moment on."""
    sweep = _own(request, sweep_id)
    context = {
        "title": title_of(sweep),
        "about": about(sweep),
        "source": reverse("sweep-report-json", args=[sweep_id]),
        "heatmap": reverse("sweep-heatmap", args=[sweep_id]),
        "combinations": reverse("sweep-combinations", args=[sweep_id]),
        "modules": _modules(),
    }
    return answers.guarded(render(request, "backtests/sweep.html", context))


@require_safe
def report_json(request: HttpRequest, sweep_id: uuid.UUID) -> HttpResponse:
    """The sweep's document as it stands: while it runs, with what there is by now, and another tag soon."""
    sweep = _own(request, sweep_id)
    with still_there():
        standing = standing_of(sweep)
        return answers.tagged(request, standing.tag(), lambda: sweep_document(sweep, standing))


def _own(request: HttpRequest, sweep_id: uuid.UUID) -> Sweep:
    user = request.user
    found = selectors.sweeps(user=user).filter(pk=sweep_id).first() if user.is_authenticated else None
    if found is None:
        raise Http404(f"There is no sweep {sweep_id} of yours.")
    return found


@cache
def _modules() -> tuple[str, ...]:
    """The static files of the page's modules, and of what they draw with."""
    main = finders.find(f"{_FOLDER}/main.js")
    assert isinstance(main, str)
    own = tuple(f"{_FOLDER}/{path.name}" for path in sorted(Path(main).parent.glob("*.js")))
    return own + tuple(name for name in module_names() if Path(name).stem not in _OTHERS)
