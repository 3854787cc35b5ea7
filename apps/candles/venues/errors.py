"""What a venue's failure means for the task that met it: try again, give up, or mistrust the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ccxt

# How much of a venue's own words goes into a message: a gateway's error page may be long.
_LONGEST_DETAIL = 300

_CODE = re.compile(r'"code"\s*:\s*"?(-?\d+)')

# Binance's codes for trouble on its own side. ccxt knows what most of them mean only while the client
# has the exchange's own address, and makes others plain errors: so the code itself decides.
_PASSING = frozenset(
    {
        -1000,  # unknown error
        -1001,  # internal error, disconnected
        -1003,  # too many requests
        -1004,  # server busy
        -1006,  # unexpected response
        -1007,  # timeout behind the gateway
        -1008,  # overloaded
        -1015,  # too many orders
        -1021,  # timestamp outside of the window
        -1034,  # too many connections
        -3000,  # internal server error
        -3044,  # system busy
    }
)

# HTTP statuses that ccxt takes for an outage, and that say no for good.
_FINAL_STATUSES = frozenset(
    {
        451,  # not served at this location
    }
)

# What parsing code raises when an answer has another shape than it expects.
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


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
        raise VenueUnavailable(f"{action}: {_brief(error)}") from error
    except _UNREADABLE as error:
        raise VenueRubbish(f"{action}: the answer makes no sense: {_brief(error)}") from error


def classify(error: ccxt.BaseError, *, client: ccxt.Exchange, action: str) -> VenueError:
    """The `VenueError` for what ccxt raised.

    The exchange's own error code comes first, then the HTTP status, then ccxt's class. What is left,
    an error without a code from an exchange that did not refuse the request, may pass.
    """
    import ccxt

    message = f"{action}: {_brief(error)}"
    code, (status, headers) = _code(error), _response(error)
    wait = _retry_after(headers)
    if wait is None and isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
        wait = _retry_after(client.last_response_headers)
    if code in _PASSING:
        return VenueUnavailable(message, retry_after=wait)
    if status in _FINAL_STATUSES:
        return VenueRefused(message)
    if isinstance(error, ccxt.BadResponse):
        return VenueRubbish(message)
    if isinstance(error, ccxt.OperationFailed):  # all of the network's failures among them
        return VenueUnavailable(message, retry_after=wait)
    if type(error) is not ccxt.ExchangeError:
        return VenueRefused(message)
    if code is None and error.__cause__ is None and error.__context__ is None:
        return VenueRubbish(message)  # nothing failed but the reading of an answer
    refused = status is not None and 400 <= status < 500
    if refused or (status is None and code is not None):
        return VenueRefused(message)
    return VenueUnavailable(message, retry_after=wait)


def _brief(error: BaseException) -> str:
    """The class and the first words of an error, on one line."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"
    return f"{type(error).__name__}: {shown}"


def _code(error: BaseException) -> int | None:
    """The exchange's error code, from the body that ccxt puts into its message."""
    match = _CODE.search(str(error))
    return int(match.group(1)) if match else None


def _response(error: BaseException) -> tuple[int | None, Mapping[str, Any]]:
    """Status and headers of the response behind an error, where there was one.

    The client remembers the headers of its last response only, which may belong to an earlier request.
    """
    response = getattr(error.__cause__ or error.__context__, "response", None)
    return (None, {}) if response is None else (response.status_code, response.headers)


def _retry_after(headers: Mapping[str, Any] | None) -> float | None:
    """The seconds that ``Retry-After`` asks for: a number of them, or a date."""
    if not headers:
        return None
    value = str(headers.get("Retry-After", "")).strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(tz=UTC)).total_seconds())
