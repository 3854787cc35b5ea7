"""The index of charts: instruments that are followed, with their latest prices."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.candles import selectors
from apps.candles.models import Instrument
from apps.candles.quotes import quotes

#: Instruments of a page, and characters of what is looked for.
_PAGE = 48
_LONGEST = 64


@require_safe
def chart_index(request: HttpRequest) -> HttpResponse:
    """Followed instruments in pages; ``?q=`` looks for a part of the symbol or the exchange among all."""
    query = "".join(filter(str.isprintable, request.GET.get("q", "")))[:_LONGEST].strip()
    page = Paginator(_found(query), _PAGE).get_page(request.GET.get("page"))
    context = {"query": query, "page": page, "quotes": quotes(list(page.object_list))}
    return render(request, "candles/chart_index.html", context)


def _found(query: str) -> QuerySet[Instrument]:
    if not query:
        return selectors.instruments(followed=True, active=True)
    found = Q(symbol__icontains=query) | Q(exchange__icontains=query)
    exchange, colon, symbol = query.partition(":")
    if colon:
        found |= Q(exchange__iexact=exchange, symbol__icontains=symbol)
    return selectors.instruments(active=True).filter(found).order_by("-followed", "exchange", "symbol")
