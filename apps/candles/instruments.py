"""The text form of an instrument: ``exchange:symbol``, for example ``binance:BTC/USDT``."""

from __future__ import annotations

import re

#: An exchange and a symbol, both as ccxt spells them: ``BASE/QUOTE``, or ``BASE/QUOTE:SETTLE`` for contracts.
_PART = r"[^\s/:\x00-\x1f\x7f]{1,20}"
_PATTERN = re.compile(rf"[a-z][a-z0-9]{{1,31}}:{_PART}/{_PART}(:{_PART})?")


def instrument_text(exchange: str, symbol: str) -> str:
    """The text form of a symbol of an exchange."""
    return f"{exchange}:{symbol}"


def parse_instrument(text: str) -> tuple[str, str]:
    """Split a text form into exchange and symbol. Raises ValueError when it has another shape."""
    if not _PATTERN.fullmatch(text):
        raise ValueError("expected exchange:BASE/QUOTE, for example binance:BTC/USDT")
    exchange, _, symbol = text.partition(":")
    return exchange, symbol
