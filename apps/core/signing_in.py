"""Pages on which people sign in and out; programs use ``POST /api/v1/auth/login``."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


class SignInView(views.LoginView):
    """Name and password make a session; then to ``next``, if that is an address of this host."""

    template_name = "core/sign_in.html"
    redirect_authenticated_user = True


class SignOutView(views.LogoutView):
    """GET asks, POST ends the session: a link alone cannot end it."""

    http_method_names = ["get", "head", "post", "options"]
    next_page = "landing"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page that asks."""
        return render(request, "core/sign_out.html")
