"""Instruments as the charting library knows them: looked up, described and searched for.

A ticker is the exchange and ccxt's symbol in capitals, ``BINANCE:BTC/USDT``: the library writes
everything that people type in capitals, so no lookup tells cases apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Q, Value
from django.db.models.functions import Length, Replace, StrIndex, Upper

from apps.candles.models import Instrument
from apps.candles.udf.parameters import INTRADAY, SUPPORTED, UdfError, shown

#: What the library calls the kinds.
TYPES = {
    Instrument.Kind.SPOT: "crypto",
    Instrument.Kind.SWAP: "swap",
    Instrument.Kind.FUTURE: "futures",
}
_KINDS = {name: kind for kind, name in TYPES.items()}


def ticker(instrument: Instrument) -> str:
    """What the library calls this instrument by."""
    return instrument.text.upper()


def find(name: str) -> Instrument:
    """The instrument that *name* means, whatever its case: ``BINANCE:BTC/USDT`` or just ``BTC/USDT``.

    A symbol without an exchange means the one that is followed before one that is not, and among
    those the first by the exchange's name. Raises `UdfError` for an unknown one.
    """
    found = find_all([name]).get(name)
    if found is None:
        raise UdfError(f"unknown symbol {shown(name)}")
    return found


def find_all(names: Iterable[str]) -> dict[str, Instrument]:
    """Those of the *names* that `find` finds, in one query when all are in capitals at the exchange too."""
    wanted = {name: _split(name) for name in names}
    spellings = {spelling for _, symbol in wanted.values() for spelling in (symbol, symbol.upper())}
    preferred = Instrument.objects.order_by("-active", "exchange", "symbol")
    # The unique index cannot find a symbol whatever its case, and nearly all are in capitals.
    candidates = list(preferred.filter(symbol__in=spellings))
    found = {}
    for name, (exchange, symbol) in wanted.items():
        there = [one for one in candidates if exchange in ("", one.exchange)]
        spelled = [one for spelling in (symbol, symbol.upper()) for one in there if one.symbol == spelling]
        others = preferred.filter(symbol__iexact=symbol, **({"exchange": exchange} if exchange else {}))
        one = spelled[0] if spelled else others.first()
        if one is not None:
            found[name] = one
    return found


def _split(name: str) -> tuple[str, str]:
    """The exchange in small letters, empty when none is named, and the symbol."""
    exchange, colon, symbol = name.partition(":")
    # A colon may also be the one before what a contract is settled in.
    return (exchange.lower(), symbol) if colon and "/" not in exchange else ("", name)


def info(instrument: Instrument) -> dict[str, Any]:
    """What the library has to know to draw an instrument."""
    exchange = instrument.exchange.upper()
    return {
        "name": instrument.symbol.upper(),
        "ticker": ticker(instrument),
        "full_name": ticker(instrument),
        "base_name": [ticker(instrument)],
        "description": description(instrument),
        "type": TYPES[Instrument.Kind(instrument.kind)],
        "exchange": exchange,
        "listed_exchange": exchange,
        # The older spelling of the two before.
        "exchange-traded": exchange,
        "exchange-listed": exchange,
        "session": "24x7",
        "timezone": "Etc/UTC",
        "format": "price",
        "minmov": 1,
        "minmove2": 0,
        "fractional": False,
        "pricescale": 10**instrument.price_scale,
        "volume_precision": instrument.volume_scale,
        "currency_code": instrument.quote,
        "visible_plots_set": "ohlcv",
        "has_intraday": True,
        "intraday_multipliers": INTRADAY,
        "has_daily": True,
        "daily_multipliers": ["1"],
        # True would promise months too. With False the library makes both of the days, and has both.
        "has_weekly_and_monthly": False,
        "has_empty_bars": False,
        "supported_resolutions": SUPPORTED,
        "data_status": "streaming" if instrument.active else "endofday",
    }


def description(instrument: Instrument) -> str:
    """One line for people."""
    kind = Instrument.Kind(instrument.kind).value
    return f"{instrument.base} / {instrument.quote} {kind} on {instrument.exchange}"


def search(*, query: str, kind: str, exchange: str, limit: int) -> list[dict[str, Any]]:
    """Up to *limit* instruments whose symbol contains *query*, with or without its slash.

    Those that begin with it come first, then the followed ones, then the shorter symbols.
    """
    found = Instrument.objects.annotate(
        capitals=Upper("symbol"), plain=Replace(F("capitals"), Value("/"), Value(""))
    )
    prefix, wanted = _split(query.upper())
    exchange = exchange or prefix
    if exchange:
        found = found.filter(exchange=exchange.lower())
    if kind:
        known = _KINDS.get(kind.lower())
        found = found.filter(kind=known) if known else found.none()
    if wanted:
        found = found.filter(Q(capitals__contains=wanted) | Q(plain__contains=wanted.replace("/", "")))
    found = found.annotate(place=StrIndex("plain", Value(wanted.replace("/", ""))), size=Length("symbol"))
    ordered = found.order_by("place", "-active", "size", "exchange", "symbol")
    return [
        {
            "symbol": instrument.symbol.upper(),
            "full_name": ticker(instrument),
            "ticker": ticker(instrument),
            "description": description(instrument),
            "exchange": instrument.exchange.upper(),
            "type": TYPES[Instrument.Kind(instrument.kind)],
        }
        for instrument in ordered[:limit]
    ]


def exchanges() -> list[str]:
    """The exchanges that there are instruments of, in the library's spelling."""
    names = Instrument.objects.order_by("exchange").values_list("exchange", flat=True).distinct()
    return [name.upper() for name in names]
