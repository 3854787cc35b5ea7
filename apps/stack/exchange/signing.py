"""Who sent a request: keys, signatures and the time for which a request is good."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from decimal import Decimal

from apps.stack.exchange import errors, trading_errors
from apps.stack.exchange.entries import Account
from apps.stack.exchange.parameters import Parameters
from apps.stack.exchange.request import Request

#: What a key looks like.
KEY = re.compile(r"[A-Za-z0-9_-]{8,128}")
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")
_WINDOW = re.compile(r"[0-9]{1,20}(\.[0-9]{1,3})?")
_WINDOW_LEGAL = "^[0-9]{1,20}(\\.[0-9]{1,3})?$"
_DEFAULT_WINDOW_MS = 5_000
_LONGEST_WINDOW_MS = 60_000
_MOST_AHEAD_MS = 1_000
# A timestamp from here on is in microseconds: in milliseconds it would lie beyond the year 5000.
_MICROSECONDS = 10**14


def signature_of(payload: str, secret: str) -> str:
    """The signature of a request whose query and body, one after the other, are *payload*."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def sender(
    request: Request, parameters: Parameters, account_of: Callable[[str], Account | None], *, now_ms: int
) -> Account:
    """The account that *request* is from. Raises `ApiError` unless key, signature and time are right."""
    if request.key is None or not KEY.fullmatch(request.key):
        raise trading_errors.bad_key_format()
    timestamp, signature = parameters.number("timestamp"), parameters.text("signature")
    if timestamp is None:
        raise errors.mandatory("timestamp")
    if signature is None:
        raise errors.mandatory("signature")
    window = _window(parameters.text("recvWindow"))
    account = account_of(request.key)
    if account is None:
        raise trading_errors.rejected_key()
    payload = _SIGNATURE.sub("", request.query) + _SIGNATURE.sub("", request.body)
    if not hmac.compare_digest(signature_of(payload, account.secret).encode(), signature.lower().encode()):
        raise trading_errors.bad_signature()
    sent_ms = Decimal(timestamp) / (1000 if timestamp >= _MICROSECONDS else 1)
    if sent_ms >= now_ms + _MOST_AHEAD_MS:
        raise trading_errors.ahead_of_time()
    if now_ms - sent_ms > window:
        raise trading_errors.outside_window()
    return account


def _window(text: str | None) -> Decimal:
    if text is None:
        return Decimal(_DEFAULT_WINDOW_MS)
    if not _WINDOW.fullmatch(text):
        raise errors.illegal_characters("recvWindow", _WINDOW_LEGAL)
    window = Decimal(text)
    if window > _LONGEST_WINDOW_MS:
        raise trading_errors.window_too_long(_LONGEST_WINDOW_MS)
    return window
