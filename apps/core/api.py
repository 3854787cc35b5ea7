"""What API views of several apps have in common: descriptions, callers, and naming the fault."""

from __future__ import annotations

import hmac
import re

from django.http import HttpRequest
from drf_spectacular.utils import OpenApiResponse
from rest_framework import status
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.problems import CONTENT_TYPE, problem
from apps.core.redaction import KEY_PREFIX

#: For descriptions of operations: an answer that is a problem like others of its status, of which
#: `apps.core.openapi` says more; and how lists go on.
PROBLEM_DESCRIPTION = "A problem."
PROBLEM = OpenApiResponse(description=PROBLEM_DESCRIPTION)
PAGES = ' Where there are more, the header `Link` has the address of the next page: `<…>; rel="next"`.'

#: Says that an answer is about what an earlier request with the same key did.
REPLAYED = "Idempotency-Replayed"

_KEY = re.compile(r"[\x21-\x7e]+")


def check_operable(request: Request, owner_id: int, permission: str) -> None:
    """Raises `PermissionDenied` where the caller is neither this owner nor has the permission."""
    if owner_id != request.user.pk and not request.user.has_perm(permission):
        raise PermissionDenied(f"This needs the permission {permission}, or to be the owner.")


def refused(field: str, detail: str, **place: str) -> Response:
    """The problem that says which field is at fault, and where in it, if that is known."""
    code = status.HTTP_400_BAD_REQUEST
    error = {"field": field, "detail": detail, **place}
    return Response(
        problem("invalid-request", code, f"{field}: {detail}", [error]), code, content_type=CONTENT_TYPE
    )


def idempotency_key(request: Request, *, longest: int = 255) -> str:
    """The header ``Idempotency-Key``; empty without one. Raises `ValidationError`."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return ""
    if len(text) > longest or _KEY.fullmatch(text) is None:
        message = f"From 1 to {longest} printable ASCII characters, no spaces."
        raise ValidationError({"Idempotency-Key": [message]})
    return text


def replayed(response: Response, *, repeated: bool) -> Response:
    """*response*, which says so where it tells of what an earlier request with its key did."""
    if repeated:
        response[REPLAYED] = "true"
    return response


def bears(request: Request | HttpRequest, token: str) -> bool | None:
    """Whether the request's bearer token is *token*; None without one, or where *token* is empty.

    Keys of users are bearer tokens, too, and none of this kind.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not token or scheme.lower() != "bearer" or given.strip().startswith(KEY_PREFIX):
        return None
    return hmac.compare_digest(given.strip().encode(), token.encode())
