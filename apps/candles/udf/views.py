"""The protocol over HTTP: open to everybody, from pages of any origin, and read-only."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from apps.candles import conf
from apps.candles.udf import history as bars
from apps.candles.udf import quotes as prices
from apps.candles.udf import symbols as names
from apps.candles.udf.parameters import SUPPORTED, UdfError, integer, moment, resolution, text

_METHODS = ("GET", "HEAD", "OPTIONS")
_SEARCH_LIMIT = 30
_MOST_FOUND = 100
_MOST_QUOTES = 50

View = Callable[[HttpRequest], HttpResponse]


def endpoint(view: View) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answers preflights, refuses other methods with 405 and bad parameters with the protocol's errors."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if request.method == "OPTIONS":
            response = HttpResponse(status=204)
            response["Allow"] = response["Access-Control-Allow-Methods"] = ", ".join(_METHODS)
            response["Access-Control-Allow-Headers"] = "*"
            response["Access-Control-Max-Age"] = "86400"
        elif request.method not in _METHODS:
            response = HttpResponseNotAllowed(_METHODS)
        else:
            try:
                response = view(request)
            except UdfError as exc:
                response = JsonResponse({"s": "error", "errmsg": str(exc)})
        response["Access-Control-Allow-Origin"] = "*"
        return response

    return answer


@endpoint
def config(request: HttpRequest) -> HttpResponse:
    """What this feed can do."""
    everywhere = {"value": "", "name": "All exchanges", "desc": ""}
    types = [("", "All types"), ("crypto", "Spot"), ("swap", "Perpetual swaps"), ("futures", "Futures")]
    return JsonResponse(
        {
            "supports_search": True,
            "supports_group_request": False,
            "supports_marks": False,
            "supports_timescale_marks": False,
            "supports_time": True,
            "supported_resolutions": SUPPORTED,
            "exchanges": [everywhere, *({"value": x, "name": x, "desc": x} for x in names.exchanges())],
            "symbols_types": [{"value": value, "name": name} for value, name in types],
        }
    )


@endpoint
def server_time(request: HttpRequest) -> HttpResponse:
    """The time of this server, as text."""
    return HttpResponse(str(int(time.time())), content_type="text/plain; charset=utf-8")


@endpoint
def symbols(request: HttpRequest) -> HttpResponse:
    """One symbol, described."""
    return JsonResponse(names.info(names.find(text(request.GET, "symbol"))))


@endpoint
def search(request: HttpRequest) -> HttpResponse:
    """Symbols that contain a text."""
    limit = integer(request.GET, "limit")
    if limit is not None and limit < 1:
        raise UdfError(f"limit is not positive: {limit}")
    found = names.search(
        query=text(request.GET, "query", ""),
        kind=text(request.GET, "type", ""),
        exchange=text(request.GET, "exchange", ""),
        limit=min(limit or _SEARCH_LIMIT, _MOST_FOUND),
    )
    return JsonResponse(found, safe=False)


@endpoint
def history(request: HttpRequest) -> HttpResponse:
    """Bars: the last ``countback`` before ``to``, or without it those that open in [from, to)."""
    query = request.GET
    name, frame, end = text(query, "symbol"), resolution(query), moment(query, "to")
    count = integer(query, "countback")
    most = conf.max_bars()
    if count is not None:
        # Not used then, and free to lie after `to` or before 1970; but what it holds must be a number.
        integer(query, "from")
        if not 0 < count <= most:
            raise UdfError(f"countback is not between 1 and {most}: {count}")
        return JsonResponse(bars.before(names.find(name), frame, end, count))
    start = moment(query, "from")
    if start > end:
        raise UdfError(f"from is after to: {start} > {end}")
    spanned = frame.count(start * 1_000, end * 1_000)
    if spanned > most:
        raise UdfError(f"at most {most} bars may lie between from and to, and these span {spanned}")
    return JsonResponse(bars.between(names.find(name), frame, start, end))


@endpoint
def quotes(request: HttpRequest) -> HttpResponse:
    """Last prices of several symbols, which are separated by commas."""
    wanted = [name for name in (part.strip() for part in text(request.GET, "symbols").split(",")) if name]
    wanted = list(dict.fromkeys(wanted))
    if not 0 < len(wanted) <= _MOST_QUOTES:
        raise UdfError(f"symbols names {len(wanted)}: at least 1 and at most {_MOST_QUOTES} can be asked for")
    return JsonResponse(prices.quotes(wanted))
