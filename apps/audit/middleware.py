"""An entry for every request that may have changed something."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.urls import ResolverMatch

from apps.audit import audit_actions, conf, values
from apps.audit.entries import Outcome
from apps.audit.recording import record_afterwards
from apps.core import context, paths, redaction
from apps.core.clients import actor_of

logger = logging.getLogger(__name__)

_READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_API, _ADMIN = "/api/", "/admin/"
#: Entries of their own tell of these.
_LOGINS = frozenset({"admin:login", "admin:logout", "login", "logout"})
#: What the admin names its pages behind application and model.
_PAGES = ("add", "change", "delete", "history", "changelist", "password_change")
#: Fields of the admin's forms that say nothing of what was asked for.
_OF_FORMS = frozenset({"csrfmiddlewaretoken", "index", ACTION_CHECKBOX_NAME})
_MOST_FIELDS = 50


class AuditMiddleware:
    """Makes an entry of each write under ``/api/`` and ``/admin/`` that reached a view.

    Method, route, path, object, status and the names of the fields that were sent; never their values. The
    entry is made when the answer is there, apart from the view's transaction: a refusal, or a write that was
    rolled back, is told of, too. Where no entry can be made, the answer stays as it is: what was written is
    written. The entry is logged as an error then.

    Stands behind the authentication, and before whatever may still refuse.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method not in _READS and request.path_info.startswith((_API, _ADMIN)):
            self._record(request, response)
        return response

    def _record(self, request: HttpRequest, response: HttpResponse) -> None:
        match = request.resolver_match
        if match is None or match.view_name in _LOGINS or match.view_name in conf.unaudited_routes():
            return
        actor = _actor(request)
        is_admin = request.path_info.startswith(_ADMIN)
        kind, key = _object_of(match)
        detail: dict[str, Any] = {
            "method": request.method,
            "route": match.view_name,
            "path": values.line(paths.told(request)),
            "status": response.status_code,
            **(_of_form(request) if is_admin else _of_body(response)),
        }
        record_afterwards(
            action=(audit_actions.ADMIN_WRITE if is_admin else audit_actions.API_WRITE).name,
            object_type=kind,
            object_id=key,
            outcome=_outcome(response, actor=actor, is_admin=is_admin),
            actor=actor,
            detail=detail,
        )


def _actor(request: HttpRequest) -> str:
    try:
        return context.current().actor or actor_of(request)
    except Error:
        # The view did not come to ask either.
        logger.exception("who made the request %s cannot be found out", paths.told(request))
        return ""


def _outcome(response: HttpResponse, *, actor: str, is_admin: bool) -> Outcome:
    status = response.status_code
    if status >= 500:
        return "failed"
    if status >= 400:
        return "refused"
    if is_admin and status >= 300 and not actor:
        # To the login page.
        return "refused"
    # A form of the admin that is shown again, because it was not filled in well.
    if is_admin and (getattr(response, "context_data", None) or {}).get("errors"):
        return "refused"
    return "succeeded"


def _object_of(match: ResolverMatch) -> tuple[str, str]:
    """Type and key of what the address is of; a key that is a secret is masked."""
    name, key = next(reversed(match.kwargs.items()), ("", ""))
    if redaction.is_secret(name):
        key = redaction.MASK
    if match.namespaces == ["admin"]:
        for page in _PAGES:
            model = (match.url_name or "").removesuffix(f"_{page}")
            if model != match.url_name and "_" in model:
                return model.replace("_", ".", 1), values.line(key)
    return name.removesuffix("_id"), values.line(key)


def _of_body(response: HttpResponse) -> dict[str, Any]:
    """The names of the fields of a body that the view has read."""
    request = (getattr(response, "renderer_context", None) or {}).get("request")
    # Not by `data`, which would read a body that nobody wanted.
    body = vars(request).get("_full_data") if request is not None else None
    return {"fields": _names(body)} if isinstance(body, Mapping) and body else {}


def _of_form(request: HttpRequest) -> dict[str, Any]:
    """The names of a form's fields, and which action was asked for, of how many rows."""
    try:
        form = request.POST
    except (SuspiciousOperation, BadRequest, MultiPartParserError, UnreadablePostError):
        # Too large, or no form at all. It may be read here first: what was refused before needed none of it.
        form = QueryDict()
    told: dict[str, Any] = {"fields": _names([name for name in form if name not in _OF_FORMS])}
    if form.get("action"):
        told["action"] = values.line(form["action"])
        all_of_them = form.get("select_across") == "1"
        told["selected"] = "all" if all_of_them else len(form.getlist(ACTION_CHECKBOX_NAME))
    return told


def _names(fields: Any) -> list[str]:
    names = [values.line(name, 100) for name in fields]
    more = len(names) - _MOST_FIELDS
    return names if more <= 0 else [*names[:_MOST_FIELDS], f"{values.CUT} {more} more"]
