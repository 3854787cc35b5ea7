"""Errors for clients, as RFC 9457 ``application/problem+json``.

Every problem has a stable ``type``: a relative reference ``/problems/<name>``, which answers with what the
problem means; the name is one of the keys of `PROBLEM_TYPES`. ``request_id`` is that of the answer's header
``X-Request-ID``, under which the log tells more. Where parts of the request are at fault, ``errors`` lists
them, each with the ``field`` it is about.

People get a page instead: whoever accepts HTML, anywhere but under the addresses of programs (`_PROGRAMS`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import MediaType
from django.template import loader
from django.utils.cache import patch_vary_headers
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from apps.core import context as core_context
from apps.core.crypto import NoKey
from apps.core.problemtypes import PROBLEM_TYPES

CONTENT_TYPE = "application/problem+json"

#: Problem name -> title. The name is the last part of the problem's ``type``.
TITLES = {name: one.title for name, one in PROBLEM_TYPES.items()}

#: Where programs ask, whatever they accept.
_PROGRAMS = ("/api/", "/udf/", "/webhooks/", "/metrics", "/healthz", "/readyz")
_NO_KEY = "This installation has no key to store secrets with (ENCRYPTION_KEYS)."
_BY_STATUS = {
    400: "invalid-request",
    401: "not-authenticated",
    403: "permission-denied",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    412: "precondition-failed",
    413: "content-too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    500: "server-error",
    503: "unavailable",
}


class Conflict(exceptions.APIException):
    """The request contradicts the state of what it is about (409)."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The request conflicts with the current state."
    default_code = "conflict"


class IdempotencyKeyReused(Conflict):
    """The idempotency key came with another body, or at another address (409)."""

    default_code = "idempotency-key-reused"


class IdempotencyInProgress(Conflict):
    """A request with the same idempotency key has not ended (409)."""

    default_detail = "A request with this Idempotency-Key is being answered. Repeat it in a moment."
    default_code = "idempotency-in-progress"
    #: Seconds, as `exceptions.Throttled` has it, for the header ``Retry-After``.
    wait = 1


class PreconditionFailed(exceptions.APIException):
    """What is there is not what ``If-Match`` names (412)."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "It has changed since: its ETag is none of those that If-Match names."
    default_code = "precondition-failed"


class ContentTooLarge(exceptions.APIException):
    """The body has more bytes or holds more than is taken at once (413)."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."
    default_code = "content-too-large"


def problem(name: str, code: int, detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """The body of a problem response."""
    body: dict[str, Any] = {
        "type": f"/problems/{name}",
        "title": TITLES[name],
        "status": code,
        "detail": detail,
    }
    if request_id := core_context.known().request_id:
        body["request_id"] = request_id
    if errors:
        body["errors"] = errors
    return body


def _flatten(detail: Any, path: str = "") -> list[dict[str, str]]:
    """One entry per message of DRF's nested error detail, fields joined by dots."""
    if isinstance(detail, dict):
        entries = []
        for key, value in detail.items():
            name = str(key)
            inner = path if name == "non_field_errors" else f"{path}.{name}" if path else name
            entries += _flatten(value, inner)
        return entries
    if isinstance(detail, list | tuple):
        entries = []
        for index, value in enumerate(detail):
            entries += _flatten(value, f"{path}.{index}" if isinstance(value, dict | list) else path)
        return entries
    return [{"field": path, "detail": str(detail)}]


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what DRF handles into a problem response; leave other exceptions to Django."""
    if isinstance(exc, NoKey):
        return Response(problem("unavailable", 503, _NO_KEY), 503, content_type=CONTENT_TYPE)
    if isinstance(exc, RequestDataTooBig):
        exc = ContentTooLarge()
    elif isinstance(exc, SuspiciousOperation):
        # What Django itself does not take: too many parameters, a host that is none.
        exc = exceptions.ValidationError(TITLES["invalid-request"])
    response = drf_exception_handler(exc, context)
    if response is None:
        return None
    if isinstance(exc, exceptions.ValidationError):
        errors = _flatten(exc.detail)
        detail = "; ".join(f"{e['field']}: {e['detail']}" if e["field"] else e["detail"] for e in errors)
        body = problem("invalid-request", response.status_code, detail, errors)
    else:
        # An exception of ours may be a problem with a name of its own.
        code = getattr(exc, "default_code", "")
        name = (
            "malformed-body"
            if isinstance(exc, exceptions.ParseError)
            else code
            if code in TITLES
            else _BY_STATUS.get(response.status_code, "invalid-request")
        )
        if isinstance(exc, Http404):
            detail = str(exc) or TITLES["not-found"]
        elif isinstance(exc, PermissionDenied):
            detail = str(exc) or TITLES["permission-denied"]
        else:
            detail = str(getattr(exc, "detail", exc))
        body = problem(name, response.status_code, detail) | getattr(exc, "members", {})
    response.data = body
    response.content_type = CONTENT_TYPE
    return response


def answer(
    request: HttpRequest, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """The problem *body*, for whoever asks: a page for people, JSON for programs."""
    code, name = body["status"], str(body["type"]).rpartition("/")[2]
    response: HttpResponse
    if for_people(request):
        # Without the context processors of a request: one of them may be what is broken.
        kind = PROBLEM_TYPES[name]
        remedy = kind.remedy.replace("`", "")
        page = {"request": request, "problem": body, "kind": kind, "remedy": remedy}
        response = HttpResponse(loader.render_to_string("core/problem.html", page), status=code)
    else:
        response = JsonResponse(body, status=code, content_type=CONTENT_TYPE)
    for header, value in (headers or {}).items():
        response[header] = value
    patch_vary_headers(response, ["Accept"])
    return response


def for_people(request: HttpRequest) -> bool:
    """Whether the request is a browser's, which shows pages."""
    return not request.path_info.startswith(_PROGRAMS) and any(
        one.main_type == "text" and one.sub_type == "html"
        for one in map(MediaType, request.headers.get("Accept", "").split(","))
    )


def _fault(request: HttpRequest, code: int, detail: str) -> HttpResponse:
    return answer(request, problem(_BY_STATUS[code], code, detail))


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400."""
    if isinstance(exception, RequestDataTooBig):
        return _fault(request, 413, TITLES["content-too-large"])
    return _fault(request, 400, TITLES["invalid-request"])


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403."""
    return _fault(request, 403, TITLES["permission-denied"])


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    return _fault(request, 403, "The form is not of this site, or cookies are off. Load the page again.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    return _fault(request, 404, f"Nothing is served at {request.path}.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500. Says nothing of the cause: that is in the log, under the request id."""
    return _fault(request, 500, "The error has been logged with this request's id.")
