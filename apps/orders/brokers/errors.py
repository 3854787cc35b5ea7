"""What follows for an order from the failure of a request.

The question is never whether a request failed, but whether the exchange has the order. What does not prove
that it has not leaves that open: timeouts, cut connections, answers that cannot be read, and whatever a
status of 500 or more comes with, of which Binance says that the order may have been executed.
"""

from __future__ import annotations

import enum
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.candles.venues.codes import CODES
from apps.candles.venues.errors import NOT_SERVED, UNREADABLE, asked_wait, behind, brief, response_of
from apps.orders.brokers.base import BrokerError, NotTaken, Refused, Unanswered, Unavailable, Unreadable


class Phase(enum.Enum):
    """What was asked of the exchange."""

    #: To take an order.
    SUBMIT = "submit"
    #: Anything that may be asked again without harm.
    LOOK = "look"


class Verdict(enum.Enum):
    #: It said no, and would again: there is no order.
    REFUSED = "refused"
    #: It did not look at the order, and might later: there is none.
    NOT_TAKEN = "not taken"
    #: There may be one.
    UNKNOWN = "unknown"


_MEANS: Mapping[Phase, Mapping[Verdict, type[BrokerError]]] = {
    Phase.SUBMIT: {
        Verdict.REFUSED: Refused,
        Verdict.NOT_TAKEN: NotTaken,
        Verdict.UNKNOWN: Unanswered,
    },
    Phase.LOOK: {
        Verdict.REFUSED: Refused,
        Verdict.NOT_TAKEN: Unavailable,
        Verdict.UNKNOWN: Unavailable,
    },
}


@dataclass(frozen=True, kw_only=True)
class Meanings:
    """What an exchange's own codes prove; those that match nothing prove nothing. *unknown* comes first."""

    unknown: re.Pattern[str]
    not_taken: re.Pattern[str]
    refused: re.Pattern[str]

    def of(self, code: str) -> Verdict | None:
        for pattern, verdict in (
            (self.unknown, Verdict.UNKNOWN),
            (self.not_taken, Verdict.NOT_TAKEN),
            (self.refused, Verdict.REFUSED),
        ):
            if pattern.fullmatch(code):
                return verdict
        return None


_MEANINGS: Mapping[str, Meanings] = {
    "binance": Meanings(
        # Unknown or internal errors, the timeout behind the gateway, an unexpected answer, "overloaded"
        # (documented without a word on what became of the request), and the halves of a replacement.
        unknown=re.compile(r"-(1000|1001|1004|1006|1007|1008|1016|2021|2022|3000|3044)"),
        # Limits of requests, orders and connections, and a timestamp outside of the window.
        not_taken=re.compile(r"-(1003|1015|1021|1034)"),
        # No permission; refused before the matching engine, or by it; bad requests; keys and orders.
        refused=re.compile(r"-(1002|101[0134]|1020|1022|1[12]\d\d|20\d\d)"),
    ),
    "bybit": Meanings(
        # Timeouts, internal errors, restarts.
        unknown=re.compile(r"10000|10016|10019|170001|170007"),
        # A timestamp outside of the window, and limits.
        not_taken=re.compile(r"10002|10006|10018|10429|170005|170222"),
        # Bad requests, keys, permissions, and countries.
        refused=re.compile(r"10001|10003|10004|10005|10009|10010|10024|10028|10029"),
    ),
    "kraken": Meanings(
        unknown=re.compile(r"EService:(Unavailable|Busy|Timeout).*|EGeneral:(Internal|Unknown) error.*"),
        not_taken=re.compile(
            r"E(API|Order|General):Rate limit exceeded.*|EAPI:Invalid nonce.*|EService:Deadline elapsed.*"
            r"|EGeneral:(Temporary lockout|Too many requests).*"
        ),
        refused=re.compile(
            r"E(API|Account|Funding|Order|Query|Trade):.*|EService:Market in .*"
            r"|EGeneral:(Invalid arguments|Permission denied).*"
        ),
    ),
}

#: An open order has its client order id: it may well be the one that was to be submitted.
_DUPLICATE = re.compile(r"duplicate", re.IGNORECASE)
_FILTER = re.compile(r"Filter failure: ([A-Z_]+)")
_WORDS = re.compile(r'"(?:msg|retMsg|ret_msg)"\s*:\s*"([^"]+)"')
#: Addresses end in a signature, which is of no use to whoever reads of an error.
_QUERY = re.compile(r"\?\S+")

#: Statuses that say nothing of whether the request was carried out.
_OPEN_STATUSES = frozenset(
    {
        408,  # it took too long
        409,  # the half of a replacement
        425,  # it came too early
    }
)
#: Statuses of a limit, and of the wall in front of the exchange.
_LIMIT_STATUSES = frozenset({403, 418, 429})

_LONGEST_CODE = 64


def classify(
    error: Exception,
    *,
    exchange: str,
    phase: Phase,
    sent: bool = True,
    last_headers: Mapping[str, Any] | None = None,
) -> BrokerError:
    """The `BrokerError` for what was raised when *exchange* was asked through ccxt.

    *sent* says whether a request was made at all, be it that it did not get far. *last_headers* are those of
    the last answer: ccxt raises some limits apart from the answer.
    """
    if isinstance(error, UNREADABLE) and not sent:
        # A secret that is no base64, say.
        message = f"{exchange}: a request with these keys cannot be made: {brief(error)}"
        return Refused(message, code="NOT_SENT")
    if isinstance(error, UNREADABLE) and phase is Phase.LOOK:
        return Unreadable(f"{exchange}: its answer cannot be understood: {brief(error)}")
    codes = CODES[exchange]
    status, headers = response_of(error)
    text = f"{error} {_body(error)}"
    code = codes.found(text) or ""
    wait = asked_wait(codes, status, headers)
    if wait is None and _is_limit(error):
        wait = asked_wait(codes, None, last_headers or {})
    verdict = _verdict(error, exchange=exchange, status=status, code=code, text=text)
    if not sent and verdict is Verdict.UNKNOWN:
        verdict = Verdict.NOT_TAKEN
    kind = _MEANS[phase][verdict]
    broken = _FILTER.search(text)
    return kind(
        _message(error, exchange=exchange, status=status, code=code, text=text),
        code=broken.group(1) if broken else code[:_LONGEST_CODE],
        retry_after=wait,
    )


def is_absence(error: Exception) -> bool:
    """Whether an exchange said that it has no such order."""
    import ccxt

    status, _ = response_of(error)
    return isinstance(error, ccxt.OrderNotFound) and (status is None or status < 500)


def _verdict(error: Exception, *, exchange: str, status: int | None, code: str, text: str) -> Verdict:
    if _was_not_sent(error):
        return Verdict.NOT_TAKEN
    if (status is not None and status >= 500) or _DUPLICATE.search(text):
        return Verdict.UNKNOWN
    meaning = _MEANINGS[exchange].of(code) if code else None
    if meaning is not None:
        return meaning
    if status is not None:
        return _of_status(status, text)
    return _of_class(error)


def _of_status(status: int, text: str) -> Verdict:
    if status in _LIMIT_STATUSES and NOT_SERVED not in text:
        return Verdict.NOT_TAKEN
    if 400 <= status < 500 and status not in _OPEN_STATUSES:
        return Verdict.REFUSED
    return Verdict.UNKNOWN


def _of_class(error: Exception) -> Verdict:
    """The verdict on an error without a code that is known or a status that tells of one."""
    import ccxt

    if _is_limit(error) or isinstance(error, ccxt.InvalidNonce):
        return Verdict.NOT_TAKEN
    # What ccxt has a class of its own for, it knows to be a refusal: of an order, of funds, of keys.
    if isinstance(error, ccxt.ExchangeError) and type(error) is not ccxt.ExchangeError:
        return Verdict.REFUSED
    return Verdict.UNKNOWN


def _is_limit(error: Exception) -> bool:
    import ccxt

    return isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded)


def _was_not_sent(error: BaseException) -> bool:
    """Whether there was no connection to send anything on."""
    from urllib3.exceptions import ConnectTimeoutError  # what could not be connected at all is one, too

    return any(
        isinstance(cause, ConnectTimeoutError | ssl.SSLCertVerificationError) for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was raised from, some of which libraries keep as arguments or as ``reason``.

    What was being handled when it was raised (``__context__``) need not have to do with it.
    """
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, getattr(cause, "reason", None), *cause.args]


def _body(error: BaseException) -> str:
    response = getattr(behind(error), "response", None)
    return "" if response is None else str(response.text)


def _message(error: Exception, *, exchange: str, status: int | None, code: str, text: str) -> str:
    """What happened, in the exchange's own words where it used any."""
    words = _WORDS.search(text)
    if words:
        return f"{exchange}: {words.group(1)} ({code})"
    about = f"HTTP {status}, " if status is not None and status != 200 else ""
    return f"{exchange}: {about}{_QUERY.sub('', brief(error))}"
