"""What a sender may ask for."""

from __future__ import annotations

from django.db import models


class Signal(models.TextChoices):
    LONG_ENTRY = "long_entry", "Long entry: hold this quantity long; what is held short is closed first"
    LONG_EXIT = "long_exit", "Long exit: sell all that is held long"
    SHORT_ENTRY = "short_entry", "Short entry: hold this quantity short; what is held long is closed first"
    SHORT_EXIT = "short_exit", "Short exit: buy back all that is held short"
    BUY = "buy", "Buy: this quantity, whatever is held"
    SELL = "sell", "Sell: this quantity, whatever is held"


#: These trade what is held, and take no quantity.
EXITS = frozenset({Signal.LONG_EXIT, Signal.SHORT_EXIT})
