"""What a venue's failure means for the task that met it: try again, give up, or mistrust the answer."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from apps.candles.venues.codes import CODES, Codes

if TYPE_CHECKING:
    import ccxt

# How much of a venue's own words goes into a message: a gateway's error page may be long.
_LONGEST_DETAIL = 300
#: Seconds of a wait: no venue bans for longer than some days.
_LONGEST = 7 * 86_400.0

# HTTP statuses that ccxt takes for an outage, and that say no for good.
_FINAL_STATUSES = frozenset(
    {
        451,  # not served at this location
    }
)

#: What a gateway writes that does not serve a country: no limit that is lifted again.
NOT_SERVED = "block access from your country"

#: What code raises that meets values of another shape than it expects.
UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class VenueError(Exception):
    """A venue did not do what was asked. ``retry_after`` is the wait it asked for, in seconds, if any."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class VenueUnavailable(VenueError):
    """It cannot answer now: trying again later may help."""


class VenueRubbish(VenueError):
    """It answered with something that cannot be read. Trying again later may help."""


class VenueRefused(VenueError):
    """It said no: an unknown symbol, a bad request, no permission. Trying again cannot help."""


class UnknownVenue(VenueRefused):
    """There is no client for an exchange of this name."""


@contextmanager
def venue_errors(client: ccxt.Exchange, action: str) -> Iterator[None]:
    """Turn what a call of *client* raises into a `VenueError` whose message begins with *action*."""
    import ccxt

    try:
        yield
    except VenueError:
        raise
    except ccxt.BaseError as error:
        raise classify(error, client=client, action=action) from error
    except OSError as error:
        raise VenueUnavailable(f"{action}: {brief(error)}") from error
    except UNREADABLE as error:
        raise VenueRubbish(f"{action}: the answer makes no sense: {brief(error)}") from error


def classify(error: ccxt.BaseError, *, client: ccxt.Exchange, action: str) -> VenueError:
    """The `VenueError` for what ccxt raised.

    The exchange's own error code comes first, then the HTTP status, then ccxt's class. What is left,
    an error without a code from an exchange that did not refuse the request, may pass.
    """
    import ccxt

    codes = CODES[client.id]
    message = f"{action}: {brief(error)}"
    code, (status, headers) = codes.found(str(error)), response_of(error)
    limited = isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded)
    wait = asked_wait(codes, status, headers)
    if wait is None and limited:
        wait = asked_wait(codes, None, client.last_response_headers or {})
    if code is not None and codes.passes(code):
        return VenueUnavailable(message, retry_after=wait)
    if status in _FINAL_STATUSES or NOT_SERVED in str(error):
        return VenueRefused(message)
    if isinstance(error, ccxt.BadResponse):
        return VenueRubbish(message)
    if isinstance(error, ccxt.OperationFailed):  # all of the network's failures among them
        return VenueUnavailable(message, retry_after=wait)
    if type(error) is not ccxt.ExchangeError:
        return VenueRefused(message)
    if code is None and behind(error) is None:
        return VenueRubbish(message)  # nothing failed but the reading of an answer
    refused = status is not None and 400 <= status < 500
    if refused or (status is None and code is not None):
        return VenueRefused(message)
    return VenueUnavailable(message, retry_after=wait)


def brief(error: BaseException) -> str:
    """The class and the first words of an error, on one line."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"
    return f"{type(error).__name__}: {shown}"


def response_of(error: BaseException) -> tuple[int | None, Mapping[str, Any]]:
    """Status and headers of the response behind an error, where there was one.

    The client remembers the headers of its last response only, which may belong to an earlier request.
    """
    response = getattr(behind(error), "response", None)
    return (None, {}) if response is None else (response.status_code, response.headers)


def behind(error: BaseException) -> BaseException | None:
    """The error that led to *error*: what it was raised from, or what was dealt with where it was raised.

    What a caller was dealing with when it made the call is none of it, though Python remembers that as well.
    """
    context = error.__context__
    if error.__cause__ is not None or context is None or context.__traceback__ is None:
        return error.__cause__
    # An error's traceback begins where it was caught: within the call, if *error* has come through there.
    caught_in = context.__traceback__.tb_frame
    within = any(frame is caught_in for frame, _ in traceback.walk_tb(error.__traceback__))
    return context if within else None


def asked_wait(codes: Codes, status: int | None, headers: Mapping[str, Any]) -> float | None:
    """The seconds that a refusal asks to wait for, as far as it tells."""
    wait = _retry_after(headers)
    if wait is None and codes.header is not None:
        wait = _until(headers.get(codes.header), headers.get("Timenow"))
    if wait is None and codes.bans is not None and status is not None:
        wait = codes.bans.get(status)
    return wait


def _until(moment_ms: Any, now_ms: Any) -> float | None:
    """The seconds to a moment, `_LONGEST` at most, from the exchange's own time where it tells that."""
    try:
        moment = int(moment_ms)
        now = int(now_ms) if now_ms is not None else int(datetime.now(tz=UTC).timestamp() * 1000)
    except (TypeError, ValueError):
        return None
    return min(max(0.0, (moment - now) / 1000), _LONGEST)


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """The seconds that ``Retry-After`` asks for, `_LONGEST` at most: a number of them, or a date."""
    value = str(headers.get("Retry-After", "")).strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(tz=UTC)).total_seconds()), _LONGEST)
