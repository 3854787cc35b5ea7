"""Where signals arrive. No session and no user: who sends is told by the token and the secret."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import TooManyFieldsSent
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

logger = logging.getLogger(__name__)

_USER_AGENT = 256
#: Bytes of a body that a sender may claim; what is above is not believed.
_LARGEST = 2**31 - 1
_DIGITS = len(str(_LARGEST)) + 1


@csrf_exempt
def receive_signal(request: HttpRequest, format: str, token: str) -> JsonResponse:  # noqa: A002
    """Take a signal, in one of `FORMATS`."""
    response = _taken(request, format, token) if request.method == "POST" else _only_post()
    response["Cache-Control"] = "no-store"
    # Django would log what was refused with its address, and so with the token. It is in our own log.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _taken(request: HttpRequest, format: str, token: str) -> JsonResponse:  # noqa: A002
    form = FORMATS[format]
    sender = Sender(
        address=client_address(request), user_agent=request.headers.get("User-Agent", "")[:_USER_AGENT]
    )
    answer = receive(format=form, token=token, arrival=_arrival(request, form), sender=sender)
    if answer.refusal is not None:
        return _refused(answer.refusal)
    response = JsonResponse(answer.body, status=answer.status)
    if answer.repeated:
        response["X-Replayed"] = "true"
    return response


def _only_post() -> JsonResponse:
    body = problem("method-not-allowed", 405, "Signals are sent by POST.")
    return JsonResponse(body, status=405, content_type=CONTENT_TYPE, headers={"Allow": "POST"})


def _arrival(request: HttpRequest, form: Format) -> Arrival:
    """What came, as far as it can be had: the layer ``shape`` says what is wrong with it."""
    told = (request.META.get("CONTENT_LENGTH") or "").lstrip("0")
    # Of very many digits Python makes no number.
    claimed = min(int(told[:_DIGITS]), _LARGEST) if told.isdecimal() else 0
    most, fault, body, simulation = conf.max_body(), "", b"", None
    # What is said to be too large is not even read.
    too_large = claimed > most
    if not too_large:
        try:
            # A body without a length may have any.
            body = _stream(request).read(most + 1)
        except Exception as exc:
            # Each web server has errors of its own for chunks that are broken, and for who hangs up.
            logger.info("the body of a delivery could not be read: %r", exc)
            fault = "The body could not be read to its end."
        if len(body) < claimed and not fault:
            # Servers say nothing of that. What is left may read as another signal: 1 where 15 was meant.
            fault = f"The body was cut off: {len(body):,} of {claimed:,} bytes came."
        too_large = len(body) > most
    try:
        simulation = request.GET.get("simulation")
    except TooManyFieldsSent:
        fault = "The address has too many parameters."
    return Arrival(
        # A secret may have been cut, too, so that nobody would know it.
        body=b"" if too_large or fault else body,
        headers={name: request.headers[name] for name in form.headers if name in request.headers},
        simulation=simulation,
        size=claimed or len(body),
        too_large=too_large,
        fault=fault,
    )


def _stream(request: HttpRequest) -> Any:
    """What the body is read from. Django reads nothing of one without a length (chunked), under WSGI."""
    if request.META.get("CONTENT_LENGTH") or not request.META.get("wsgi.input_terminated"):
        return request
    return request.META["wsgi.input"]


def _refused(refusal: Refusal) -> JsonResponse:
    errors = [{"field": fault.field, "detail": fault.detail} for fault in refusal.faults]
    body = problem(CODES[refusal.code].problem, refusal.status, refusal.detail, errors)
    response = JsonResponse(body, status=refusal.status, content_type=CONTENT_TYPE)
    if refusal.retry_after is not None:
        response["Retry-After"] = str(refusal.retry_after)
    return response
