"""Alerts of TradingView, and of whoever writes like it: JSON, or text.

TradingView sends an alert's message as it stands, as ``application/json`` where that is valid JSON and as
``text/plain`` otherwise; what it is, is told by the content here. Text may be

- lines of ``name: value`` or ``name=value``, one field a line;
- one line of words ``name=value``;
- one line ``<signal> <symbol> [quantity] [name=value ...]``.

`FIELDS` are the fields. Others are not acted upon, and logged. Without ``id`` and without the header
``Idempotency-Key`` the key is a hash of all fields but the secret. ``{{timenow}}`` has whole seconds, so two
equal alerts of one second are one: who means two has to tell them apart by ``id``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from apps.orders.signals import EXITS, Signal
from apps.webhooks.formats.base import (
    Arrival,
    Asked,
    Credentials,
    Fields,
    Format,
    Malformed,
    SymbolName,
    asked_simulation,
    decoded,
    load_json,
    shortened,
)

#: Field -> what it says.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "signal": (
            f"Or `action`: one of {', '.join(Signal.values)}, in any case."
            " `{{strategy.order.action}}` gives buy or sell."
        ),
        "symbol": (
            "`BTC/USDT`, `BTCUSDT` or `BINANCE:BTCUSDT`, as `{{exchange}}:{{ticker}}` gives it; with `.P` at"
            " its end a perpetual contract."
        ),
        "quantity": (
            "Or `contracts`, as `{{strategy.order.contracts}}`: how much, in units of the base currency."
            " Exits trade all that is held, and what is given here is not looked at."
        ),
        "price": "Makes it a limit order at this price; not looked at for exits.",
        "timestamp": (
            "When it was sent, as `{{timenow}}`: ISO 8601 with Z or an offset, or milliseconds. Needed for"
            " real trading."
        ),
        "secret": "The endpoint's.",
        "id": (
            "A second signal with the same id is the first: it is answered, and not acted upon. Up to 100"
            " printable characters without blanks; the header `Idempotency-Key` does the same."
        ),
        "simulation": (
            "false: for real, where the account may do that. Like the query parameter; without either it is"
            " on paper."
        ),
    }
)
_NAMES = {"action": "signal", "contracts": "quantity"}
_PAIR = re.compile(r"([A-Za-z_]\w{0,63})\s*[:=]\s*(.*)", re.DOTALL)
_WORD = re.compile(r"([A-Za-z_]\w{0,63})=(.*)", re.DOTALL)
_SIGNALS = frozenset(Signal.values)
#: What may be a symbol: letters, digits and what exchanges put between them.
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:!-]{0,63}")
_KEY = re.compile(r"[\x21-\x7e]{1,100}")


class TradingView(Format):
    """See the module."""

    name = "tradingview"
    accepted_status = 202
    headers = ("idempotency-key",)

    def parse(self, arrival: Arrival) -> Asked:
        """What the alert asks for. Raises `Malformed`."""
        given = _read(decoded(arrival.body))
        fields = Fields(_named(given))
        signal = _signal(fields)
        symbol = fields.text("symbol", required=True, most=64)
        takes = signal is not None and signal not in EXITS
        quantity = fields.amount("quantity", required=True) if takes else None
        price = fields.amount("price") if takes else None
        timestamp = fields.moment("timestamp")
        secret = fields.text("secret", most=200)
        simulation = asked_simulation(arrival, fields)
        name = _symbol_name(fields, symbol)
        key = _key(arrival, fields)
        if fields.faults:
            raise Malformed.of(fields.faults, given)
        said = {name: value for name, value in fields.values.items() if name not in ("secret", "id")}
        digest = _digest(said, simulation)
        return Asked(
            signal=signal,
            symbol=name,
            quantity=quantity,
            price=price,
            timestamp=timestamp,
            simulation=simulation,
            secret=secret,
            key=f"id:{key}" if key else f"sha256:{digest}",
            digest=digest,
            fields=given,
        )

    def refuses(
        self, arrival: Arrival, asked: Asked, credentials: Credentials, *, simulation: bool
    ) -> tuple[str, str] | None:
        """The secret is compared with all that are valid, each in constant time."""
        if not asked.secret:
            if simulation and not credentials.require_secret:
                return None
            return "secret_missing", "The field secret is missing."
        given = hashlib.sha256(asked.secret.encode()).hexdigest()
        right = [hmac.compare_digest(given, one) for one in credentials.secret_hashes]
        return None if any(right) else ("secret_wrong", "The secret is wrong.")

    def proves(self, asked: Asked) -> bool:
        """On paper an endpoint may do without a secret."""
        return bool(asked.secret)


def _read(text: str) -> dict[str, Any]:
    if not text:
        raise Malformed("The body is empty.")
    if text.startswith(("{", "[")):
        try:
            return load_json(text)
        except Malformed as exc:
            left = re.search(r"\{\{[^{}]{1,80}\}\}", text)
            if left is None:
                raise
            raise Malformed(
                f"{exc.detail} {left[0]} was not replaced: the sender does not know this placeholder here."
            ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        words = lines[0].split()
        if words[0].lower() in _SIGNALS:
            return _positional(words)
        if all(_WORD.fullmatch(word) for word in words):
            return _pairs(words, _WORD)
    return _pairs(lines, _PAIR)


def _positional(words: list[str]) -> dict[str, Any]:
    places = ["signal", "symbol", "quantity"]
    given: list[str] = []
    for word in words:
        named = _WORD.fullmatch(word)
        if named is None and not places:
            raise Malformed("A word too many: signal, symbol, quantity, then name=value.")
        given.append(word if named else f"{places.pop(0)}={word}")
    return _pairs(given, _WORD)


def _pairs(lines: list[str], pattern: re.Pattern[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines:
        pair = pattern.fullmatch(line)
        if pair is None:
            raise Malformed("Neither JSON nor lines of name: value.")
        name = pair[1].lower()
        if name in found:
            raise Malformed(f"The body says {name!r} twice.")
        found[name] = pair[2].strip()
    return found


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by their first names. Raises `Malformed` where one is given by both of its names."""
    found = dict(given)
    for other, name in _NAMES.items():
        if other in found:
            if name in found:
                raise Malformed(f"The body says both {name!r} and {other!r}, which are one.", fields=given)
            found[name] = found.pop(other)
    return found


def _signal(fields: Fields) -> Signal | None:
    text = fields.text("signal", required=True, most=64).lower()
    if text in _SIGNALS:
        return Signal(text)
    if text:
        fields.fault("signal", f"{shortened(text)!r} is none of {', '.join(Signal.values)}.")
    return None


def _symbol_name(fields: Fields, text: str) -> SymbolName | None:
    """A symbol taken apart; null where there is none."""
    if not text:
        return None
    if not _SYMBOL.fullmatch(text):
        fields.fault("symbol", "Expected something like BTC/USDT, BTCUSDT or BINANCE:BTCUSDT.")
        return None
    before, _, after = text.partition(":")
    # A colon after a slash is ccxt's, before the currency that a contract is settled in.
    exchange, name = (before.lower(), after) if after and "/" not in before else ("", text)
    swap = True if name.upper().endswith(".P") else None
    if not name.removesuffix(".P").removesuffix(".p"):
        fields.fault("symbol", "Has no name before .P.")
        return None
    return SymbolName(text=name[:-2] if swap else name, exchange=exchange, swap=swap, given=text)


def _key(arrival: Arrival, fields: Fields) -> str:
    said, header = fields.text("id", most=100), arrival.headers.get("idempotency-key", "")
    if said and header and said != header:
        fields.fault("id", "The header Idempotency-Key says something else.")
    key = said or header
    if key and not _KEY.fullmatch(key):
        fields.fault(
            "id" if said else "Idempotency-Key", "Expected 1 to 100 printable ASCII characters, no blanks."
        )
    return key


def _digest(said: Mapping[str, Any], simulation: bool) -> str:
    canonical = json.dumps([said, simulation], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
