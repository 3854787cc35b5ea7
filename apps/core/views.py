"""Signing in and the health of this process."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from drf_spectacular.utils import extend_schema, inline_serializer
from knox.views import LoginView as KnoxLoginView
from rest_framework import serializers
from rest_framework.authentication import BasicAuthentication


@extend_schema(
    request=None,
    responses=inline_serializer(
        "Login",
        {"expiry": serializers.DateTimeField(), "token": serializers.CharField()},
    ),
    description="Exchange a name and password (HTTP Basic) for a token: `Authorization: Token <token>`.",
)
class LoginView(KnoxLoginView):  # type: ignore[misc]
    """The one place where a password is sent; everything else takes the token."""

    authentication_classes = [BasicAuthentication]


def healthz(request: HttpRequest) -> JsonResponse:
    """Answers while this process can answer at all; asks nothing of other servers."""
    return JsonResponse({"status": "ok"})
