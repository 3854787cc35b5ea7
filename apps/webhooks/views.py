"""Where signals arrive. No session and no user: who sends is told by the token and the secret."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from apps.core.clients import client_address
from apps.core.problems import CONTENT_TYPE, problem
from apps.webhooks import conf
from apps.webhooks.codes import CODES
from apps.webhooks.facts import Sender
from apps.webhooks.formats import FORMATS
from apps.webhooks.formats.base import Arrival, Format
from apps.webhooks.layers import Refusal
from apps.webhooks.receiving import receive

_USER_AGENT = 256


@csrf_exempt
def receive_signal(request: HttpRequest, format: str, token: str) -> JsonResponse:  # noqa: A002
    """Take a signal, in one of `FORMATS`."""
    if request.method != "POST":
        body = problem("method-not-allowed", 405, "Signals are sent by POST.")
        return JsonResponse(body, status=405, content_type=CONTENT_TYPE, headers={"Allow": "POST"})
    form = FORMATS[format]
    sender = Sender(
        address=client_address(request), user_agent=request.headers.get("User-Agent", "")[:_USER_AGENT]
    )
    answer = receive(format=form, token=token, arrival=_arrival(request, form), sender=sender)
    if answer.refusal is not None:
        response = _refused(answer.refusal)
    else:
        response = JsonResponse(answer.body, status=answer.status)
        if answer.repeated:
            response["X-Replayed"] = "true"
    response["Cache-Control"] = "no-store"
    # Django would log what was refused with its address, and so with the token. It is in our own log.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _arrival(request: HttpRequest, form: Format) -> Arrival:
    told = request.META.get("CONTENT_LENGTH") or "0"
    # A server that took the request has seen to it that this is a number.
    size = int(told) if told.isdecimal() else 0
    too_large = size > conf.max_body()
    return Arrival(
        # What is too large is not even read.
        body=b"" if too_large else request.body,
        headers={name: request.headers[name] for name in form.headers if name in request.headers},
        simulation=request.GET.get("simulation"),
        size=size,
        too_large=too_large,
    )


def _refused(refusal: Refusal) -> JsonResponse:
    errors = [{"field": fault.field, "detail": fault.detail} for fault in refusal.faults]
    body = problem(CODES[refusal.code].problem, refusal.status, refusal.detail, errors)
    response = JsonResponse(body, status=refusal.status, content_type=CONTENT_TYPE)
    if refusal.retry_after is not None:
        response["Retry-After"] = str(refusal.retry_after)
    return response
