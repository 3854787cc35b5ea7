"""Middleware that does the same in stacks for threads and for coroutines, without changing threads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], Any]


class EitherStack(ABC):
    """Knows which kind of stack it stands in: `_is_async` says so."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    @abstractmethod
    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """The answer; in a stack of coroutines, one that gives it."""


class HeaderMiddleware(EitherStack):
    """Has `before` look at each request and `after` at its answer. Neither may wait for anything.

    In a stack of coroutines no thread is changed for it, unlike with Django's own kind of middleware.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        if self._is_async:
            return self._acall(request)
        self.before(request)
        response = cast("HttpResponse", self.get_response(request))
        self.after(request, response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponse:
        self.before(request)
        response = await cast("Awaitable[HttpResponse]", self.get_response(request))
        self.after(request, response)
        return response

    def before(self, request: HttpRequest) -> None:
        """The request is on its way in."""

    def after(self, request: HttpRequest, response: HttpResponse) -> None:
        """The answer is on its way out."""
