"""What load balancers and supervisors ask: whether this process lives, and whether it could serve now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps.core.answering import EitherStack
from apps.core.api import bears
from apps.core.readiness import Status, readiness

View = Callable[[HttpRequest], HttpResponse]


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answers while this process can answer at all; asks nothing of other servers."""
    return _answer({"status": "ok"}, 200)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 where requests would fail: see `readiness`. Why is told only to who bears ``METRICS_TOKEN``."""
    report = readiness.report()
    body: dict[str, Any] = {
        "status": report.status,
        "checks": {name: "failed" if fault else "ok" for name, fault in report.faults.items()},
    }
    if bears(request, settings.METRICS_TOKEN):
        body["faults"] = {name: fault for name, fault in report.faults.items() if fault}
    code = 503 if report.status is Status.UNREADY else 200
    response = _answer(body, code)
    # That it is so was logged when it came to be so, and not for each who asks.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _answer(body: dict[str, Any], code: int) -> HttpResponse:
    response = JsonResponse(body, status=code, headers={"Cache-Control": "no-store"})
    # What would write it stands further in.
    response.headers["Content-Length"] = str(len(response.content))
    return response


_VIEWS: Mapping[str, View] = MappingProxyType({"/healthz": healthz, "/readyz": readyz})


class HealthMiddleware(EitherStack):
    """Answers both before anything looks at the host, the session or the limits of a request.

    Who asks knows an address of this process and often no name, and asks by plain HTTP. Works in either kind
    of stack.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        view = _VIEWS.get(request.path_info)
        if self._is_async:
            return self._acall(request, view)
        return cast("HttpResponse", self.get_response(request)) if view is None else view(request)

    async def _acall(self, request: HttpRequest, view: View | None) -> HttpResponse:
        if view is None:
            return await cast("Awaitable[HttpResponse]", self.get_response(request))
        return await sync_to_async(view, thread_sensitive=False)(request)
