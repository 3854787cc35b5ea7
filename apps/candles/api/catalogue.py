"""Finding instruments for the API."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.candles import selectors
from apps.candles.instruments import parse_instrument
from apps.candles.models import Instrument, Revision
from apps.candles.sources.base import Span

# Instruments that are looked at together once those of the first look were not enough.
_TOGETHER = 1000


def find(
    *,
    query: str | None = None,
    exchange: str | None = None,
    kind: str | None = None,
    base: str | None = None,
    quote: str | None = None,
    active: bool | None = None,
    followed: bool | None = None,
) -> QuerySet[Instrument]:
    """Instruments that fulfil all conditions, by exchange and symbol.

    *query* is part of the symbol, the base, the quote or the exchange's own name, in any case.
    """
    filters = {
        "exchange": exchange, "kind": kind, "base": base, "quote": quote, "active": active,
        "followed": followed,
    }  # fmt: skip
    found = Instrument.objects.filter(**{key: value for key, value in filters.items() if value is not None})
    if query:
        names = ("symbol", "base", "quote", "venue_id")
        found = found.filter(reduce(or_, (Q(**{f"{name}__icontains": query}) for name in names)))
    return found


@dataclass(frozen=True, kw_only=True)
class InstrumentPage:
    """Some instruments in their order, and what is stored of each."""

    instruments: list[Instrument]
    coverage: dict[int, Span]
    #: Whether there are others after them.
    more: bool


def page(
    *, after: tuple[str, str] | None, limit: int, stored: bool | None = None, **conditions: Any
) -> InstrumentPage:
    """Up to *limit* instruments after this exchange and symbol, with or without candles.

    *conditions* are those of `find`.
    """
    found = find(**conditions)
    if stored:
        # Where nothing was ever written there is nothing; of the others, all may have been deleted.
        found = found.filter(Exists(Revision.objects.filter(instrument=OuterRef("pk"))))
    step = limit + 1
    kept: list[Instrument] = []
    spans: dict[int, Span] = {}
    while True:
        rest = found
        if after is not None:
            exchange, symbol = after
            rest = found.filter(Q(exchange__gt=exchange) | Q(exchange=exchange, symbol__gt=symbol))
        some = list(rest[:step])
        covered = selectors.coverage([instrument.pk for instrument in some])
        spans |= covered
        kept += [one for one in some if stored is None or (one.pk in covered) is stored]
        if len(kept) > limit or len(some) < step:
            return InstrumentPage(instruments=kept[:limit], coverage=spans, more=len(kept) > limit)
        after = some[-1].exchange, some[-1].symbol
        step = max(step, _TOGETHER)


def named(texts: Iterable[str]) -> dict[str, Instrument]:
    """Those of the instruments with these text forms that are known, by text form."""
    names = set()
    for text in texts:
        with suppress(ValueError):
            names.add(parse_instrument(text))
    found = Instrument.objects.filter(symbol__in=[symbol for _, symbol in names])
    return {one.text: one for one in found if (one.exchange, one.symbol) in names}
