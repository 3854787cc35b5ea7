"""Views that limits stand before: of Django and DRF, for threads and coroutines."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path, re_path
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from apps.ratelimits.throttles import ScopeThrottle, VerifiedThrottle
from project.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500"]


def plain(request: HttpRequest, **_: Any) -> HttpResponse:
    return HttpResponse("served")


async def waiting(request: HttpRequest) -> HttpResponse:
    return HttpResponse("served")


def who(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": request.user.pk})


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the view fails")


class Open(APIView):
    permission_classes = [AllowAny]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.pk})


class Closed(Open):
    permission_classes = [IsAuthenticated]

    def post(self, request: Request) -> Response:
        return Response({"user": request.user.pk}, status=201)


class Scoped(Open):
    throttle_classes: list[type[BaseThrottle]] = [VerifiedThrottle, ScopeThrottle]
    ratelimit_scope = "exports"


urlpatterns = [
    path("admin/", admin.site.urls),
    path("plain", plain, name="plain"),
    path("plain/<int:number>", plain, name="plain-one"),
    re_path(r"^either/?$", plain, name="either"),
    path("waiting", waiting, name="waiting"),
    path("who", who, name="who"),
    path("broken", broken, name="broken"),
    path("other", plain, name="other"),
    path("open", Open.as_view(), name="open"),
    path("closed", Closed.as_view(), name="closed"),
    path("scoped", Scoped.as_view(), name="scoped"),
    path("", include("project.urls")),
]
