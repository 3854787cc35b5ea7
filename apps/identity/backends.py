"""Where passwords are looked at, whoever asks: the admin, the API's login, HTTP Basic."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from apps.core.clients import client_address
from apps.identity import guesses, places


class PasswordBackend(ModelBackend):
    """Users by name and password, as Django has them, with guesses limited by account (`guesses`).

    No other backend is asked after a wrong password. Which backend a session came from is written in it, so
    Django's own has to stay behind this one for sessions that are older.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> Any:
        """The user. Raises `TooManyGuesses`, and `PermissionDenied` for a wrong password.

        A name that is nobody's takes as long as a wrong password. Scripts, which answer no request, may
        guess.
        """
        if username is None:
            username = more.get(get_user_model().USERNAME_FIELD)
        if username is None or password is None:
            return None
        if request is None:
            return super().authenticate(request, username=username, password=password)
        if "\0" in username:
            # Nobody can have such a name, which no database looks for.
            raise PermissionDenied
        address = client_address(request)
        try:
            guess = guesses.charge(username=username, address=address)
        except guesses.TooManyGuesses:
            # Django tells of a login that failed only where all backends were asked.
            user_login_failed.send(sender=__name__, credentials={"username": username}, request=request)
            raise
        user = super().authenticate(request, username=username, password=password)
        if user is None:
            raise PermissionDenied
        guesses.give_back(guess)
        if address:
            places.place_remember(user_id=user.pk, network=guesses.place_of(address))
        return user

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> Any:
        """`authenticate`, for coroutines."""
        return await sync_to_async(self.authenticate)(request, username, password, **more)
