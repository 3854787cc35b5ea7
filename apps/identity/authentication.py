"""How API requests prove whose they are: a token, or name and password where these are taken."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import BasicAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.core.clients import client_address
from apps.core.redaction import KEY_PREFIX
from apps.identity import conf, selectors, using
from apps.identity.models import ApiKey

_SCHEMES = frozenset({b"token", b"bearer"})


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]
    """``Authorization: Token <token>``, or ``Bearer``, as which only keys of this product are looked at.

    One query: ``request.auth`` is the `ApiKey` and ``request.user`` its user. That it was used is written
    once a minute.
    """

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Null where there is no such header. Raises `AuthenticationFailed`, which says why."""
        scheme, *rest = get_authorization_header(request).split() or [b""]
        if scheme.lower() not in _SCHEMES:
            return None
        if scheme.lower() == b"bearer" and not (rest and rest[0].startswith(KEY_PREFIX.encode())):
            return None
        if len(rest) != 1:
            raise AuthenticationFailed("Expected one token, without spaces.")
        return self.authenticate_credentials(rest[0], address=client_address(request._request))

    def authenticate_credentials(self, token: bytes, address: str = "") -> tuple[Any, ApiKey]:
        """The user and the key of a token that comes from *address*. Raises `AuthenticationFailed`."""
        text = token.decode("latin-1")
        now, digest = timezone.now(), hash_token(text)
        for key in selectors.candidates(text):
            current = compare_digest(digest, key.digest)
            previous = key.previous_digest is not None and compare_digest(digest, key.previous_digest)
            if not current and not previous:
                continue
            fault = using.fault(key, address=address, now=now, previous=not current)
            if fault:
                raise AuthenticationFailed(fault)
            using.used(key, address=address, now=now)
            return key.user, key
        raise AuthenticationFailed("This token is not known.")

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class LoginAuthentication(BasicAuthentication):
    """HTTP Basic, guesses limited: where a password is exchanged for a token."""

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[Any, None]:
        """Raises `AuthenticationFailed`, or `TooManyRequests` where there were too many guesses of late."""
        # Importing this imports DRF's views, which import this module.
        from apps.identity import guesses

        with guesses.answered():
            user, _ = super().authenticate_credentials(userid, password, request)
        return user, None


class PasswordAuthentication(LoginAuthentication):
    """The same in any request, where ``API_BASIC_AUTH`` allows it: each one costs a check of the password."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Raises `AuthenticationFailed` where names and passwords are taken to sign in only."""
        if not conf.takes_passwords():
            scheme, *_ = get_authorization_header(request).split() or [b""]
            if scheme.lower() == b"basic":
                raise AuthenticationFailed("Names and passwords are taken by /api/v1/auth/login only.")
            return None
        return super().authenticate(request)
