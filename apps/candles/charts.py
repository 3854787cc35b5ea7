"""The chart page: an instrument's candles in the browser, drawn by TradingView's lightweight-charts."""

from __future__ import annotations

from typing import Any

from csp.constants import NONE
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from apps.candles.timeframes import TIMEFRAMES
from apps.candles.udf.parameters import RESOLUTIONS, SUPPORTED, UdfError
from apps.candles.udf.symbols import find, ticker
from apps.core import csp

_DEFAULT = "1h"
#: Seconds between the page's questions for the newest bar.
_POLL = 5


@require_safe
def chart(request: HttpRequest, exchange: str, symbol: str) -> HttpResponse:
    """The page of one instrument, whatever the case of its name; 404 for an unknown one.

    ``?timeframe=`` chooses what is shown first; the page keeps it up to date. What a program gets
    for an unknown instrument is problem+json.
    """
    frames = [(RESOLUTIONS[name].name, name) for name in SUPPORTED]
    asked = request.GET.get("timeframe", "")
    context: dict[str, Any] = {
        "feed": reverse("udf-config").removesuffix("config"),
        "charts": reverse("chart", args=["-", "-"]).removesuffix("-/-"),
        "poll": _POLL,
        "frames": frames,
        "timeframe": asked if asked in TIMEFRAMES else _DEFAULT,
    }
    try:
        if not symbol.isprintable() or not exchange.isprintable():
            raise UdfError("not readable")
        instrument = find(f"{exchange}:{symbol}")
    except UdfError:
        if not request.accepts("text/html"):
            raise Http404 from None
        response = render(request, "candles/chart_unknown.html", {**context, "asked": f"{exchange}:{symbol}"})
        response.status_code = 404
    else:
        context |= {"instrument": instrument, "ticker": ticker(instrument)}
        response = render(request, "candles/chart.html", context)
    patch_vary_headers(response, ["Accept"])
    return csp.replace(response, form_action=[NONE])
