"""Signing in and out, and passwords, over HTTP."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as InvalidPassword
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api import PROBLEM, refused
from apps.core.clients import actor_of
from apps.core.views import ApiView
from apps.identity import guesses, services
from apps.identity.api.asked import LoginSerializer, PasswordSerializer
from apps.identity.api.shown import EndedSerializer, LoginAnswerSerializer, MeSerializer
from apps.identity.authentication import LoginAuthentication
from apps.identity.models import ApiKey

#: As DRF says it of HTTP Basic.
_WRONG = "Invalid username/password."


class Login(ApiView):
    """Where a password is exchanged for a token; everything else takes the token.

    Who repeats it gets another token: none is kept.
    """

    keeps_answers = False
    authentication_classes = [LoginAuthentication]
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="auth_login",
        request=LoginSerializer,
        responses={200: LoginAnswerSerializer, 400: PROBLEM, 401: PROBLEM, 429: PROBLEM},
        description=(
            "Exchange a name and password for a token, by HTTP Basic or in the body:"
            " `Authorization: Token <token>`, or `Bearer <token>`, from then on. After too many wrong"
            " passwords of one user no more are looked at for a while (429)."
        ),
    )
    def post(self, request: Request) -> Response:
        user = request.user if request.user.is_authenticated else _verified(request)
        try:
            issued = services.login_begin(user=user, request=request._request)
        except services.PasswordChanged:
            raise AuthenticationFailed(_WRONG) from None
        answer = {"token": issued.token, "expiry": issued.key.expiry, "user": user}
        return Response(LoginAnswerSerializer(answer).data, headers={"Cache-Control": "no-store"})


class Logout(ApiView):
    """Where the login of a request ends."""

    @extend_schema(
        operation_id="auth_logout",
        request=None,
        responses={204: None},
        description="End the login that the request came with: its token, or its session.",
    )
    def post(self, request: Request) -> Response:
        services.login_end(user=request.user, request=request._request, credential=_credential(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAll(ApiView):
    """Where all logins of a user end."""

    @extend_schema(
        operation_id="auth_logout_all",
        request=None,
        responses={200: EndedSerializer},
        description="End all your login tokens and sessions, this one included. API keys go on.",
    )
    def post(self, request: Request) -> Response:
        ended = services.logins_end(user=request.user, by=actor_of(request))
        if request._request.session.session_key:
            request._request.session.flush()
        return Response(EndedSerializer({"ended": ended}).data)


class Me(ApiView):
    """Who makes the request."""

    takes_parameters = False

    @extend_schema(
        operation_id="auth_me",
        responses=MeSerializer,
        description="Who you are, what you may do, and what the request came with.",
    )
    def get(self, request: Request) -> Response:
        key = _credential(request)
        kind = key.kind if key is not None else _kind_without_key(request)
        answer = {
            "user": request.user,
            "permissions": sorted(request.user.get_all_permissions()),
            "credential": {
                "kind": kind,
                "id": key.pk if key is not None else None,
                "name": key.name if key is not None else "",
                "scopes": key.scopes if key is not None and key.granted is not None else None,
                "expiry": key.expiry if key is not None else None,
            },
        }
        return Response(MeSerializer(answer).data)


class Password(ApiView):
    """Where a password is changed.

    Who repeats it is told that the old password is none: no answer is kept, since the record of a wrong guess
    would be rolled back with it.
    """

    keeps_answers = False

    @extend_schema(
        operation_id="auth_password",
        request=PasswordSerializer,
        responses={200: EndedSerializer, 400: PROBLEM, 429: PROBLEM},
        description=(
            "Change your password. All your other login tokens and sessions end; API keys go on unless"
            " `revoke_keys` is true. The old password is a guess like any other: too many wrong ones are 429."
        ),
    )
    def post(self, request: Request) -> Response:
        body = PasswordSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        user: Any = request.user
        with guesses.answered():
            verified = authenticate(
                request._request, username=user.get_username(), password=asked["old_password"]
            )
        if verified is None:
            return refused("old_password", "This is not your password.")
        try:
            validate_password(asked["new_password"], user)
        except InvalidPassword as exc:
            return refused("new_password", " ".join(exc.messages))
        ended = services.password_change(
            user=user,
            password=asked["new_password"],
            by=actor_of(request),
            request=request._request,
            credential=_credential(request),
            keys=asked["revoke_keys"],
        )
        return Response(EndedSerializer({"ended": ended}).data)


def _verified(request: Request) -> Any:
    """The user that the body names. Raises `NotAuthenticated` without one, and `AuthenticationFailed`."""
    if not (request.content_type or "").startswith("application/json") or not request.data:
        raise NotAuthenticated
    body = LoginSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    with guesses.answered():
        user = authenticate(request._request, **body.validated_data)
    if user is None:
        raise AuthenticationFailed(_WRONG)
    return user


def _credential(request: Request) -> ApiKey | None:
    return request.auth if isinstance(request.auth, ApiKey) else None


def _kind_without_key(request: Request) -> str:
    authenticator = request.successful_authenticator
    return "password" if isinstance(authenticator, LoginAuthentication) else "session"
