"""Events of PineForge Live, version 1: signed by HMAC, delivered at least once and in order.

Only ``order_action`` of status ``confirmed`` is an instruction; all else (``order_update``, provisional
actions) is recorded and answered the same. ``buy`` and ``sell`` with the leg ``entry`` or ``exit`` are the
four signals. ``order.price`` is the engine's reference and no limit: orders are market orders.

Its sender keeps the order of events and stops at one that is refused for good. A valid action that comes too
late, of an instrument that is not known, or that the account may not take, is therefore recorded and not
acted upon, so that those after it come through.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from apps.core.crypto import unseal
from apps.orders.signals import EXITS, Signal
from apps.webhooks.formats.base import (
    Arrival,
    Asked,
    Credentials,
    Fault,
    Fields,
    Format,
    Malformed,
    SymbolName,
    asked_simulation,
    read_json,
    shortened,
)

_SIGNALS = {
    ("buy", "entry"): Signal.LONG_ENTRY,
    ("sell", "exit"): Signal.LONG_EXIT,
    ("sell", "entry"): Signal.SHORT_ENTRY,
    ("buy", "exit"): Signal.SHORT_EXIT,
}
_EVENTS = ("order_action", "order_update")
_MARKETS = {"spot": False, "perp": True, "perpetual": True, "swap": True}
_ID = re.compile(r"[\x21-\x7e]{1,100}")
_SIGNATURE = re.compile(r"sha256=([0-9a-fA-F]{64})")
_IDENTITY = ("x-pineforge-event-id", "idempotency-key")


class PineForge(Format):
    """See the module."""

    name = "pineforge"
    accepted_status = 200
    headers = (*_IDENTITY, "x-pineforge-signature")
    in_order = True

    def parse(self, arrival: Arrival) -> Asked:
        """What the event asks for. Raises `Malformed`."""
        given = read_json(arrival.body)
        fields = Fields(given)
        if given.get("schema_version") != 1:
            fields.fault("schema_version", "Expected 1.")
        event = _choice(fields, "event", _EVENTS)
        event_id = fields.text("event_id", required=True, most=100)
        if event_id and not _ID.fullmatch(event_id):
            fields.fault("event_id", "Expected printable ASCII characters, no blanks.")
        for header in _IDENTITY:
            if arrival.headers.get(header, event_id) != event_id:
                fields.fault("event_id", f"The header {header} says something else.")
        status = fields.text("status", required=True)
        timestamp = fields.moment("timestamp", required=True)
        simulation = asked_simulation(arrival, fields)
        signal, symbol, quantity = None, None, None
        if event == "order_action" and status == "confirmed":
            symbol = _symbol(fields)
            order = _part(fields, "order")
            side, leg = _choice(order, "action", ("buy", "sell")), _choice(order, "leg", ("entry", "exit"))
            signal = _SIGNALS.get((side, leg))
            if signal is not None and signal not in EXITS:
                quantity = order.amount("contracts", required=True)
            fields.faults += [_under("order", fault) for fault in order.faults]
        if fields.faults:
            raise Malformed.of(fields.faults, given)
        mode = b"paper" if simulation else b"real"
        digest = hashlib.sha256(mode + b":" + arrival.body).hexdigest()
        return Asked(
            signal=signal,
            symbol=symbol,
            quantity=quantity,
            timestamp=timestamp,
            simulation=simulation,
            key=f"id:{event_id}",
            digest=digest,
            fields=given,
            idle="" if signal else f"{event} {shortened(status)}",
        )

    def refuses(
        self, arrival: Arrival, asked: Asked, credentials: Credentials, *, simulation: bool
    ) -> tuple[str, str] | None:
        """The signature of the bytes is compared with those under all secrets that are valid."""
        if not credentials.signing_secrets:
            return "secret_missing", "The endpoint has no signing secret: make one first."
        header = arrival.headers.get("x-pineforge-signature", "")
        if not header:
            return "secret_missing", "The header X-PineForge-Signature is missing."
        found = _SIGNATURE.fullmatch(header)
        given = found[1].lower() if found else ""
        valid = (
            unseal(sealed, context=credentials.signing_context) for sealed in credentials.signing_secrets
        )
        right = [hmac.compare_digest(given, _sign(one, arrival.body)) for one in valid]
        return None if any(right) else ("secret_wrong", "The signature is wrong.")


def _sign(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _symbol(fields: Fields) -> SymbolName | None:
    """The instrument; its venue is where the sender has its prices from, and says nothing here."""
    named = _part(fields, "instrument")
    text = named.text("symbol", required=True, most=64)
    market = named.text("market_type").lower()
    if market and market not in _MARKETS:
        named.fault("market_type", f"{shortened(market)!r} is none of {', '.join(_MARKETS)}.")
    fields.faults += [_under("instrument", fault) for fault in named.faults]
    if not text:
        return None
    return SymbolName(text=text, swap=_MARKETS.get(market), given=text)


def _part(fields: Fields, name: str) -> Fields:
    """The fields of an object in the body; without any where there is no such object."""
    value = fields.values.get(name)
    if isinstance(value, dict):
        return Fields(value)
    fields.fault(name, "Expected an object.")
    return Fields({})


def _choice(fields: Fields, name: str, known: tuple[str, ...]) -> str:
    value = fields.text(name, required=True)
    if value and value not in known:
        fields.fault(name, f"{shortened(value)!r} is none of {', '.join(known)}.")
        return ""
    return value


def _under(name: str, fault: Fault) -> Fault:
    return Fault(field=f"{name}.{fault.field}", detail=fault.detail)
