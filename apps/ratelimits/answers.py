"""What clients are told: headers of every answer, and the answers of those who are not served."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.core.problems import CONTENT_TYPE, answer, for_people, problem
from apps.ratelimits.limiter import Decision, Policy, Result

#: Seconds after which somebody who was not served for want of Redis may try again, and what they are told.
OUTAGE = 1
CLOSED = "It cannot be told now whether you may ask for this. Try again."


@lru_cache(maxsize=1024)
def policy_header(policies: tuple[Policy, ...]) -> str:
    """``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-11): what there is, with its window."""
    return ", ".join(f'"{one.id}";q={one.limit};w={one.seconds}' for one in policies)


def limit_header(results: Iterable[Result]) -> str:
    """``RateLimit``: what is left of each, and the seconds until more is: a window at most."""
    return ", ".join(
        f'"{policy.id}";r={remaining}'
        if wait is None
        else f'"{policy.id}";r={remaining};t={-(-min(wait, policy.window) // 1000)}'
        for policy, _, remaining, _, _, wait in results
    )


def put_headers(response: HttpResponse, results: Iterable[Result]) -> None:
    """Have *response* tell of these, of which all may be told."""
    told = tuple(results)
    if told:
        response.headers["RateLimit-Policy"] = policy_header(tuple(one.policy for one in told))
        response.headers["RateLimit"] = limit_header(told)


def too_many(retry_after: int | None) -> str:
    """What a denial says."""
    if retry_after is None:
        return "This costs more than is ever left."
    return f"Too many requests: there is room again in {retry_after:,} s."


def denied(request: HttpRequest, decision: Decision, shown: Iterable[Result]) -> HttpResponse:
    """429, as a problem or a page, with the time from which on it is worth to try again."""
    told = tuple(shown)
    retry_after = decision.retry_after
    body: dict[str, Any] = problem("too-many-requests", 429, too_many(retry_after))
    body["violated-policies"] = [one.policy.id for one in told if one.denied]
    if for_people(request):
        response = answer(request, body)
    else:
        # Not by `JsonResponse`, which makes an encoder for each: this is what has to be quick in an attack.
        response = HttpResponse(json.dumps(body).encode(), status=429, content_type=CONTENT_TYPE)
    put_headers(response, told)
    put_denial(response, retry_after)
    return _complete(response)


def _complete(response: HttpResponse) -> HttpResponse:
    """With what later middleware would have added, which has not been reached.

    Django is not to log each: an attack would fill the log, and pay with our time for it.
    """
    response.headers["Content-Length"] = str(len(response.content))
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def put_denial(response: HttpResponse, retry_after: int | None) -> None:
    """The headers that go with a 429."""
    response.headers["Cache-Control"] = "no-store"
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)


def shut_out(request: HttpRequest) -> HttpResponse:
    """403, for an address that nothing is served to."""
    body = problem("address-denied", 403, "Nothing is served to your address.")
    return _complete(answer(request, body, {"Cache-Control": "no-store"}))


def closed(request: HttpRequest) -> HttpResponse:
    """503, where nothing is served without knowing how much was."""
    body = problem("unavailable", 503, CLOSED)
    return _complete(answer(request, body, {"Cache-Control": "no-store", "Retry-After": str(OUTAGE)}))
