"""Reading a request's parameters with the exchange's rules and error codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from apps.stack.exchange import amounts, errors, trading_errors

_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_SYMBOL_LEGAL = "^[A-Z0-9-_.]{1,20}$"
_NUMBER = re.compile(r"[0-9]{1,20}")
_NUMBER_LEGAL = "^[0-9]{1,20}$"
_AMOUNT_LEGAL = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
_CLIENT_ID = re.compile(r"[a-zA-Z0-9\-_]{1,36}")
_CLIENT_ID_LEGAL = "^[a-zA-Z0-9-_]{1,36}$"
_LARGEST_ID = 2**63 - 1
# 9999-12-31 in milliseconds; later moments have no calendar here.
_LATEST_MS = 253_402_214_400_000


class Parameters:
    """The parameters of one request; each is to be read by name, and `finish` refuses what was not read.

    One that stands in query and *body* has the value of the query.
    """

    def __init__(self, query: str, body: str = "") -> None:
        parts = [parse_qsl(part, keep_blank_values=True) for part in (body, query)]
        self._values: Mapping[str, str] = dict(parts[0] + parts[1])
        self._read: set[str] = set()
        if any(len(dict(pairs)) != len(pairs) for pairs in parts):
            raise errors.repeated_parameter()

    def text(self, name: str) -> str | None:
        """The parameter's text, None when it was not sent; sent without a value it is an error."""
        value = self._values.get(name)
        if value is not None:
            self._read.add(name)
            if not value:
                raise errors.empty(name)
        return value

    def symbol(self, name: str = "symbol") -> str | None:
        value = self.text(name)
        if value is not None and not _SYMBOL.fullmatch(value):
            raise errors.illegal_characters(name, _SYMBOL_LEGAL)
        return value

    def symbols(self) -> list[str] | None:
        """The JSON list ``symbols``, without repetitions."""
        value = self.text("symbols")
        if value is None:
            return None
        try:
            listed = json.loads(value)
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
            raise errors.invalid_value("symbols")
        if len(set(listed)) != len(listed):
            raise errors.duplicate_symbols()
        return listed

    def number(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise errors.illegal_characters(name, _NUMBER_LEGAL)
        return int(value)

    def id(self, name: str) -> int | None:
        """A number that stands for something; none is larger than 64 bits can hold."""
        value = self.number(name)
        return None if value is None else min(value, _LARGEST_ID)

    def moment(self, name: str) -> int | None:
        """Milliseconds since 1970; beyond the calendar's end is its end."""
        value = self.number(name)
        return None if value is None else min(value, _LATEST_MS)

    def amount(self, name: str) -> int | None:
        """A decimal number, in units of 10**-8."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return amounts.parsed(value)
        except amounts.TooFine:
            raise trading_errors.too_fine(name) from None
        except ValueError:
            raise errors.illegal_characters(name, _AMOUNT_LEGAL) from None

    def client_id(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _CLIENT_ID.fullmatch(value):
            raise errors.illegal_characters(name, _CLIENT_ID_LEGAL)
        return value

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, the latter when it was not sent."""
        value = self.text(name)
        if value not in (None, "true", "false"):
            raise errors.invalid_value(name)
        return value == "true"

    def finish(self) -> None:
        """Refuse parameters that no one has read."""
        if len(self._read) < len(self._values):
            if not self._read:
                raise errors.too_many_parameters(len(self._values))
            raise errors.unread_parameters(len(self._read), len(self._values))
