"""Which instrument a sender means."""

from __future__ import annotations

import time

from apps.core.database import execute
from apps.core.resources import sql
from apps.webhooks.formats.base import SymbolName

#: Seconds for which this process remembers an instrument that was found, and how many of them.
_KEPT = 60.0
_MOST = 4096

_known: dict[tuple[str, str, bool | None], tuple[int, float]] = {}


def instrument_of(exchange: str, name: SymbolName) -> int | None:
    """The id of the instrument of *exchange* that is meant; null where there is none, or not only one.

    What is found is remembered, what is not is looked for every time. An instrument that the exchange has
    just given up may therefore be found once more.
    """
    key = (exchange, name.text.upper(), name.swap)
    known = _known.get(key)
    if known is not None and known[1] > time.monotonic():
        return known[0]
    found = execute(
        sql(__package__, "instrument.sql"), {"exchange": exchange, "text": key[1], "swap": name.swap}
    ).fetchall()
    if not found or (len(found) == 2 and found[0][1:] == found[1][1:]):
        return None
    if len(_known) >= _MOST:
        _known.clear()
    _known[key] = (found[0][0], time.monotonic() + _KEPT)
    return int(found[0][0])
