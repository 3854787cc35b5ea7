"""A view that is limited, at two addresses."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.benchmarks.workload.models import Note

BATCH, ROWS = "ratelimits", 20


def notes(request: HttpRequest) -> JsonResponse:
    """Twenty rows, as the ORM reads them."""
    found = Note.objects.filter(batch=BATCH).order_by("number")[:ROWS]
    rows = [{"number": one.number, "waited": one.waited, "at": one.at} for one in found]
    return JsonResponse({"notes": rows})


urlpatterns = [path("notes", notes), path("denied", notes)]
