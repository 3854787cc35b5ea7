"""The addresses of a server without the product."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.benchmarks.workload import views


def healthy(request: HttpRequest) -> HttpResponse:
    """By this the server is known to be ready."""
    return HttpResponse("ok")


urlpatterns = [
    path("healthz", healthy),
    path("minutes", views.MinuteList.as_view()),
    path("hours", views.hours),
    path("signals", views.signals),
]
