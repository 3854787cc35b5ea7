"""Guards every write of a trading worker that comes over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve

from apps.core.problems import CONTENT_TYPE, problem
from apps.liveness.errors import Fenced
from apps.liveness.guarding import guarded
from apps.liveness.models import WorkerSession

#: By which a worker says that it writes, and under which token.
HEADER = "Worker-Token"
_READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class WorkerTokenMiddleware:
    """A request with the header ``Worker-Token`` writes only if the token is its user's when it has been
    answered.

    The whole request is one transaction then. Otherwise it is rolled back, and the answer is 409 with the
    problem ``worker-fenced``. A server's error rolls it back, too. Views that compare tokens themselves say
    so by the attribute ``guards_itself``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER)
        if given is None or request.method in _READS or _guards_itself(request.path_info):
            return self.get_response(request)
        if not (given.isascii() and given.isdigit() and len(given) < 19):
            return _refusal("invalid-request", 400, f"{HEADER} must be the token of a worker's session.")
        token = int(given)
        owner = WorkerSession.objects.filter(token=token).values_list("user_id", flat=True).first()
        if owner is None:
            return _refusal("worker-fenced", 409, f"There is no worker with token {token}.")
        try:
            with guarded(user_id=owner, token=token):
                response = self.get_response(request)
                # Who it is, is known only now: DRF authenticates in its views.
                user = request.user
                if user.is_authenticated and user.pk != owner and not user.is_staff:
                    raise Fenced(f"token {token} is not that of a worker of yours")
                if response.status_code >= 500:
                    transaction.set_rollback(True)
        except Fenced as exc:
            return _refusal("worker-fenced", 409, str(exc))
        return response


def _guards_itself(path: str) -> bool:
    try:
        view = resolve(path).func
    except Resolver404:
        return False
    return bool(getattr(getattr(view, "cls", None), "guards_itself", False))


def _refusal(name: str, status: int, detail: str) -> HttpResponse:
    return JsonResponse(problem(name, status, detail), status=status, content_type=CONTENT_TYPE)
