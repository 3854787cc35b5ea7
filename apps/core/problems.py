"""Errors for clients, as RFC 9457 ``application/problem+json``.

Every problem has a stable ``type``: a relative reference ``/problems/<name>``, where the name is one
of the keys of `TITLES`. Where parts of the request are at fault, ``errors`` lists them, each with
the ``field`` it is about.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from apps.core.crypto import NoKey

CONTENT_TYPE = "application/problem+json"

#: Problem name -> title. The name is the last part of the problem's ``type``.
TITLES = {
    "invalid-request": "The request is not valid",
    "malformed-body": "The body could not be parsed",
    "not-authenticated": "Credentials are missing or wrong",
    "permission-denied": "This is not allowed to you",
    "insufficient-scope": "The key was not granted this",
    "not-found": "There is nothing at this address",
    "method-not-allowed": "The method is not allowed here",
    "not-acceptable": "None of the accepted media types is available",
    "content-too-large": "The body is larger than is taken",
    "unsupported-media-type": "The body's media type is not supported",
    "conflict": "The request conflicts with what is there",
    "missing-candles": "Candles that are needed are missing",
    "idempotency-key-reused": "The idempotency key came with another body",
    "worker-fenced": "The worker's token is not its user's any more",
    "webhook-disabled": "The webhook is disabled",
    "webhook-address": "The webhook takes nothing from this address",
    "webhook-expired": "The signal's time is not now",
    "webhook-secret": "The secret or the signature is missing or wrong",
    "webhook-replay": "The key came with another signal",
    "webhook-plan": "The account may not trade so",
    "address-denied": "Nothing is served to this address",
    "too-many-requests": "Too many requests",
    "daily-limit": "The account's orders of the day are used up",
    "unavailable": "Not possible just now",
    "server-error": "The server failed",
}

_NO_KEY = "This installation has no key to store secrets with (ENCRYPTION_KEYS)."
_BY_STATUS = {
    400: "invalid-request",
    401: "not-authenticated",
    403: "permission-denied",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    413: "content-too-large",
    415: "unsupported-media-type",
    429: "too-many-requests",
    500: "server-error",
}


class Conflict(exceptions.APIException):
    """The request contradicts the state of what it is about (409)."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The request conflicts with the current state."
    default_code = "conflict"


class IdempotencyKeyReused(Conflict):
    """The idempotency key came with another body (409)."""

    default_code = "idempotency-key-reused"


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


def _answer(request: HttpRequest, code: int, detail: str) -> JsonResponse:
    return JsonResponse(problem(_BY_STATUS[code], code, detail), status=code, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's handler400."""
    return _answer(request, 400, TITLES["invalid-request"])


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's handler403."""
    return _answer(request, 403, TITLES["permission-denied"])


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's handler404."""
    return _answer(request, 404, f"Nothing is served at {request.path}.")


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500. Says nothing of the cause: that is in the log, under the request id."""
    return _answer(request, 500, "The error has been logged with this request's id.")
