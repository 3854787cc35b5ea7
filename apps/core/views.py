"""The base of API views, and where the API begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from apps.core import context, idempotency, scopes, tags
from apps.core.api import idempotency_key
from apps.core.problems import PreconditionFailed

_READS = frozenset({"GET", "HEAD"})
_CHANGES = frozenset({"PUT", "PATCH", "DELETE"})


class ApiView(APIView):
    """An API view whose caller is named in every event that follows from the request.

    Answers that are read have an ``ETag`` and are not sent to who has them (304). A change with ``If-Match``
    is made to what the client has seen, or not at all (412). A POST with an ``Idempotency-Key`` is done once,
    and answered the same again. A key needs the scope that the address is for (`apps.core.scopes`).
    """

    #: Whether a POST's answer is kept for whoever repeats it. Off where the view recognises repeats itself,
    #: or where repeating does nothing: the key is looked at there, and nothing is kept.
    keeps_answers = True
    #: Fields of what is read that change without anybody changing it. The ``ETag`` says nothing of them, so
    #: that ``If-Match`` holds, and reading is never answered 304.
    passing: frozenset[str] = frozenset()
    #: Whether reading takes query parameters; where it does, the view refuses those that it does not know.
    takes_parameters = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As `APIView.dispatch`, with what is said above around the handler."""
        self.args, self.kwargs = args, kwargs
        self.request = asked = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        response: HttpResponseBase
        try:
            self.initial(asked, *args, **kwargs)
            response = self._answer(asked, *args, **kwargs)
        except Exception as exc:
            response = self.handle_exception(exc)
        self.response = self._finished(response)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, check permissions, name the actor, and refuse what no address can have."""
        super().initial(request, *args, **kwargs)
        if request.user.is_authenticated:
            context.set_actor(f"user:{request.user.pk}")
        if any("\0" in value for value in kwargs.values() if isinstance(value, str)):
            raise NotFound
        if request.META.get("QUERY_STRING"):
            self._check_parameters(request)

    def locked(self, **kwargs: Any) -> QuerySet[Any] | None:
        """The rows, given the address's parts, that stay as they are from the look at ``If-Match`` on.

        None: what is compared may be changed by others until the change itself is made.
        """
        return None

    def _answer(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        method = (request.method or "").lower()
        known = method in self.http_method_names
        handler = getattr(self, method, None) if known else None
        if handler is None:
            handler = self.http_method_not_allowed

        def handled() -> HttpResponse:
            # Rendered within the transaction, in which it is kept.
            response: HttpResponse = self._finished(handler(request, *args, **kwargs))
            if isinstance(response, Response):
                response.render()
            return response

        if request.method == "POST" and (key := idempotency_key(request)) and self.keeps_answers:
            return idempotency.once(request, key, handled)
        if request.method in _CHANGES and "If-Match" in request.headers:
            with transaction.atomic():
                self._check_match(request, *args, **kwargs)
                return handler(request, *args, **kwargs)
        if request.method in _READS:
            response = handled()
            if response.status_code == 200 and not response.streaming:
                tag = self._tag(response)
                return tags.tagged(request._request, response, tag, is_all=not self.passing)
            return response
        return handler(request, *args, **kwargs)

    def _finished(self, response: HttpResponseBase) -> Any:
        # Other answers than those of DRF are taken, too.
        done: Any = response
        return self.finalize_response(self.request, done, *self.args, **self.kwargs)

    def _check_match(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises `PreconditionFailed` where reading would not give what ``If-Match`` names."""
        reading: Callable[..., HttpResponse] | None = getattr(self, "get", None)
        if reading is None:
            raise PreconditionFailed("What is at this address cannot be read: it has no ETag.")
        rows = self.locked(**kwargs)
        if rows is not None:
            # In the order of their ids, and as those who change them lock them.
            list(rows.order_by("pk").select_for_update(of=("self",), no_key=True).values_list("pk"))
        response = self._finished(reading(request, *args, **kwargs))
        if isinstance(response, Response):
            response.render()
        tags.check_match(request._request, self._tag(response))

    def _tag(self, response: HttpResponse) -> str:
        """The tag of what was read: its own, or one of its content."""
        if "ETag" in response:
            return str(response["ETag"])
        if self.passing and isinstance(response, Response):
            lasting = {name: value for name, value in response.data.items() if name not in self.passing}
            return tags.strong_tag(JSONRenderer().render(lasting))
        return tags.strong_tag(response.content)

    def _check_parameters(self, request: Request) -> None:
        errors = {}
        for name, values in request.query_params.lists():
            if "\0" in name or any("\0" in value for value in values):
                errors[name.replace("\0", "")] = ["Null characters are not allowed."]
            elif not self.takes_parameters and request.method in _READS:
                errors[name] = ["Not known here: there are no parameters."]
        if errors:
            raise ValidationError(errors)

    def check_permissions(self, request: Request) -> None:
        """Raises what the view's permissions do, and `InsufficientScope`."""
        super().check_permissions(request)
        match = request.resolver_match
        scopes.check(request.auth, match.route if match is not None else "", request.method or "")


def link_next(request: Request, response: Response, cursor: str) -> None:
    """Let the header ``Link`` of a page lead to the one that follows it, which begins at *cursor*."""
    parameters = request.query_params.copy()
    parameters["cursor"] = cursor
    address = request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")
    response["Link"] = f'<{address}>; rel="next"'


#: What the API begins with: names of it, and the routes that they lead to.
_BEGINNINGS = {
    "docs": "docs",
    "schema": "schema",
    "login": "login",
    "me": "me",
    "keys": "key-list",
    "instruments": "instrument-list",
    "candles": "candle-list",
    "backfills": "backfill-list",
    "backtests": "backtest-list",
    "sweeps": "sweep-list",
    "strategies": "strategy-list",
    "accounts": "account-list",
    "orders": "order-list",
    "positions": "position-list",
    "fills": "fill-list",
    "tasks": "task-list",
    "periodic": "periodic-list",
    "workers": "worker-list",
    "webhooks": "endpoint-list",
    "emails": "notification-email-list",
    "preferences": "notification-preference-list",
    "audit": "audit-list",
}


class ApiRoot(ApiView):
    """Where the API begins."""

    permission_classes = [AllowAny]
    takes_parameters = False

    @extend_schema(
        operation_id="root",
        responses=inline_serializer("Root", {name: serializers.URLField() for name in _BEGINNINGS}),
        description="Where everything else is.",
    )
    def get(self, request: Request) -> Response:
        return Response({name: reverse(route, request=request) for name, route in _BEGINNINGS.items()})
