"""Every code of every exchange, as the real client raises it, and what it proves of an order."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from apps.orders.brokers import BrokerError, NotTaken, Refused, Unanswered, Unavailable, broker_for
from apps.orders.brokers.base import Broker
from apps.orders.brokers.clients import forget_clients, trading_client
from tests.orders.brokers.desks import ORDER, account_of, order_of, reachable, venue
from tests.stack.exchange_process import ExchangeAt

pytestmark = pytest.mark.django_db

REFUSED, NOT_TAKEN, UNKNOWN = Refused, NotTaken, Unanswered

#: Each code that Binance documents (errors.md), as an answer with the status 400 to a new order. It says of
#: 4xx that the sender is at fault, and of 5xx that the order may have been executed.
BINANCE: dict[type[BrokerError], list[int]] = {
    UNKNOWN: [-1000, -1001, -1006, -1007, -1008, -1016, -2021, -2022],
    NOT_TAKEN: [-1003, -1015, -1021, -1034],
    REFUSED: [
        *(-1002, -1010, -1013, -1014, -1020, -1022, -1033, -1035),
        *(-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108),
        *(-1111, -1112, -1114, -1115, -1116, -1117, -1118, -1119),
        *(-1120, -1121, -1122, -1125, -1127, -1128, -1130, -1134, -1135, -1139),
        *(-1145, -1151, -1152, -1153, -1155, -1158, -1160, -1161, -1165, -1166, -1168, -1169),
        *range(-1177, -1169),
        *range(-1191, -1177),
        *(-1194, -1196, -1197, -1198, -1199),
        *(-1210, -1211, -1220, -1221, -1222, -1223, -1224, -1225),
        *(-2010, -2011, -2013, -2014, -2015, -2016, -2026, -2035, -2036, -2038, -2039, -2042, -2043),
    ],
}

#: Words that ccxt knows, in whose place it leaves out the code; and one that means the opposite of a refusal.
WORDS: list[tuple[int, str, type[BrokerError]]] = [
    (-2010, "Account has insufficient balance for requested action.", REFUSED),
    (-2010, "Market is closed.", REFUSED),
    (-2010, "This symbol is not permitted for this account.", REFUSED),
    (-2010, "This action is disabled on this account.", REFUSED),
    (-2010, "Rest API trading is not enabled.", REFUSED),
    (-2010, "Price * QTY is zero or less.", REFUSED),
    (-2010, "Order would trigger immediately.", REFUSED),
    (-1013, "Filter failure: LOT_SIZE", REFUSED),
    (-1013, "Filter failure: PRICE_FILTER", REFUSED),
    (-1013, "Filter failure: NOTIONAL", REFUSED),
    (-1013, "Filter failure: MAX_NUM_ORDERS", REFUSED),
    (-2010, "Duplicate order sent.", UNKNOWN),
    (-1010, "Duplicate order sent.", UNKNOWN),
    (-1003, "Way too much request weight used; IP banned until 1.", NOT_TAKEN),
    (-1021, "Timestamp for this request is outside of the recvWindow.", NOT_TAKEN),
]

#: Status and body, where no code tells.
STATUSES: list[tuple[int, Any, type[BrokerError]]] = [
    (400, {"code": -9999, "msg": "New."}, REFUSED),
    (400, "", REFUSED),
    (401, "", REFUSED),
    (404, "<html>", REFUSED),
    (413, "<html>", REFUSED),
    (403, "<html>", NOT_TAKEN),
    (403, "<html>We block access from your country.", REFUSED),
    (451, "<html>", REFUSED),
    (429, "", NOT_TAKEN),
    (418, "", NOT_TAKEN),
    (408, "", UNKNOWN),
    (409, "", UNKNOWN),
    (425, "", UNKNOWN),
    (500, {"code": -2010, "msg": "Market is closed."}, UNKNOWN),
    (503, {"code": -1003, "msg": "Too many requests queued."}, UNKNOWN),
    (500, {"code": -9999, "msg": "New."}, UNKNOWN),
    (500, "", UNKNOWN),
    (502, "<html>", UNKNOWN),
    (503, "", UNKNOWN),
    (504, "", UNKNOWN),
    (520, "<html>", UNKNOWN),
    (200, {"code": -1013, "msg": "Filter failure: NOTIONAL"}, REFUSED),
    (200, {"code": -1003, "msg": "Too many requests."}, NOT_TAKEN),
    (200, {"code": -9999, "msg": "New."}, UNKNOWN),
    (200, "<html>", UNKNOWN),
    (200, "null", UNKNOWN),
    (200, '{"orderId": ', UNKNOWN),
    (302, "", UNKNOWN),
]

#: Codes in answers of the status 200.
BYBIT: list[tuple[int, str, type[BrokerError]]] = [
    (10000, "Server Timeout", UNKNOWN),
    (10001, "Request parameter error.", REFUSED),
    (10002, "The request time exceeds the time window range.", NOT_TAKEN),
    (10003, "API key is invalid.", REFUSED),
    (10004, "Error sign.", REFUSED),
    (10005, "Permission denied.", REFUSED),
    (10006, "Too many visits.", NOT_TAKEN),
    (10014, "Invalid duplicate request.", UNKNOWN),
    (10016, "Server error.", UNKNOWN),
    (10018, "Exceeded the IP rate limit.", NOT_TAKEN),
    (10019, "Restarting.", UNKNOWN),
    (10429, "System level frequency protection.", NOT_TAKEN),
    (110072, "OrderLinkedID is duplicate", UNKNOWN),
    (110094, "Order notional value below the lower limit", REFUSED),
    (170001, "Internal error.", UNKNOWN),
    (170005, "Too many new orders.", NOT_TAKEN),
    (170007, "Timeout waiting for response from backend server.", UNKNOWN),
    (170121, "Invalid symbol.", REFUSED),
    (170131, "Balance insufficient", REFUSED),
    (170140, "Order value exceeded lower limit.", REFUSED),
    (170141, "Duplicate clientOrderId", UNKNOWN),
    (170222, "Too many requests.", NOT_TAKEN),
    (999999, "New.", UNKNOWN),
]

KRAKEN: list[tuple[str, type[BrokerError]]] = [
    ("EGeneral:Invalid arguments:volume", REFUSED),
    ("EGeneral:Permission denied", REFUSED),
    ("EAPI:Invalid key", REFUSED),
    ("EAPI:Invalid signature", REFUSED),
    ("EAPI:Invalid nonce", NOT_TAKEN),
    ("EAPI:Rate limit exceeded", NOT_TAKEN),
    ("EOrder:Rate limit exceeded", NOT_TAKEN),
    ("EGeneral:Temporary lockout", NOT_TAKEN),
    ("EService:Deadline elapsed", NOT_TAKEN),
    ("EOrder:Insufficient funds", REFUSED),
    ("EOrder:Order minimum not met", REFUSED),
    ("EOrder:Something that is new", REFUSED),
    ("EQuery:Unknown asset pair", REFUSED),
    ("EService:Market in cancel_only mode", REFUSED),
    ("EService:Unavailable", UNKNOWN),
    ("EService:Busy", UNKNOWN),
    ("EGeneral:Internal error", UNKNOWN),
    ("EGeneral:Unknown error", UNKNOWN),
    ("EDatabase:Something that is new", UNKNOWN),
    ("EOrder:Duplicate cl_ord_id", UNKNOWN),
]


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeAt]:
    with venue() as running:
        yield running


@pytest.fixture(autouse=True)
def reached(exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    exchange.calm()
    reachable(exchange, monkeypatch, settings, "binance", "bybit", "kraken")


def broker_at(name: str) -> Broker:
    secret = "c2VjcmV0" if name == "kraken" else "secret"
    return broker_for(account_of(exchange=name, key="key", secret=secret), simulation=False)


def answer(exchange: ExchangeAt, path: str, status: int, body: Any) -> None:
    exchange.order({"path": path, "kind": "status", "status": status, "body": body})


def failure(broker: Broker, *, looking: bool = False) -> BrokerError:
    """What the submission of an order, or a look at one, raises."""
    order = order_of(venue_order_id="1" if looking else "")
    with pytest.raises(BrokerError) as raised:
        if looking:
            broker.find(order)
        else:
            broker.submit(order)
    return raised.value


def test_every_code_of_binance_is_a_refusal_only_where_it_proves_one(exchange: ExchangeAt) -> None:
    broker = broker_at("binance")
    coded = [(code, "Says why.", kind) for kind, codes in BINANCE.items() for code in codes]
    for code, words, kind in coded + WORDS:
        answer(exchange, ORDER, 400, {"code": code, "msg": words})
        error = failure(broker)
        assert type(error) is kind, (code, words)
        expected = words.removeprefix("Filter failure: ") if "Filter" in words else str(code)
        assert error.code == expected, (code, words)
        assert str(error) == f"binance: {words} ({code})"


def test_a_status_tells_where_no_code_does(exchange: ExchangeAt) -> None:
    broker = broker_at("binance")
    for status, body, kind in STATUSES:
        answer(exchange, ORDER, status, body)
        assert type(failure(broker)) is kind, (status, body)


def test_what_could_not_be_connected_was_not_sent_and_what_broke_later_may_have_been(
    exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool: Any = None
    account = account_of(key="key", secret="secret")
    broker = broker_for(account, simulation=False)

    def retried(reason: Exception) -> MaxRetryError:
        return MaxRetryError(pool, "/api/v3/order", reason)

    def of_certificate(kind: type[ssl.SSLError]) -> Exception:
        return requests.exceptions.SSLError(retried(kind(1, "certificate verify failed")))

    refused = NewConnectionError(pool, "Connection refused")
    cases: list[tuple[Exception, type[BrokerError]]] = [
        (requests.ConnectionError(retried(refused)), NOT_TAKEN),
        (requests.ConnectionError(retried(NameResolutionError("x", pool, socket.gaierror(-2)))), NOT_TAKEN),
        (requests.ConnectTimeout(retried(ConnectTimeoutError(pool, "timed out"))), NOT_TAKEN),
        (of_certificate(ssl.SSLCertVerificationError), NOT_TAKEN),
        (of_certificate(ssl.SSLError), UNKNOWN),
        (requests.ReadTimeout(ReadTimeoutError(pool, "/", "Read timed out.")), UNKNOWN),
        (requests.ConnectionError(ProtocolError("aborted", ConnectionResetError(104, "reset"))), UNKNOWN),
        (requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead"), UNKNOWN),
        (requests.TooManyRedirects("Exceeded 0 redirects."), UNKNOWN),
        (ConnectionResetError(104, "reset"), UNKNOWN),
        (RuntimeError("whatever"), UNKNOWN),
    ]
    for raised, kind in cases:

        def fail(*_: Any, raised: Exception = raised, **__: Any) -> None:
            raise raised

        with trading_client(account) as client:
            monkeypatch.setattr(client.session, "request", fail)
        error = failure(broker)
        assert type(error) is kind, raised
        assert type(failure(broker, looking=True)) is Unavailable, raised


def test_a_request_that_cannot_be_made_was_not_sent(exchange: ExchangeAt) -> None:
    """Neither an order nor a look: nothing can be signed with such a secret."""
    broker = broker_for(account_of(exchange="kraken", key="key", secret="half a"), simulation=False)
    for looking in (False, True):
        error = failure(broker, looking=looking)
        assert (type(error), error.code) == (Refused, "NOT_SENT")
        assert "a request with these keys cannot be made" in str(error)
    for key, secret in (("k\N{EURO SIGN}y", "secret"), ("key", "s\N{EURO SIGN}cret")):
        broker = broker_for(account_of(key=key, secret=secret), simulation=False)
        for looking in (False, True):
            error = failure(broker, looking=looking)
            assert (type(error), error.code) == (Refused, "NOT_SENT")


def test_what_was_dealt_with_before_says_nothing_of_a_request(
    exchange: ExchangeAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_of(key="key", secret="secret")
    broker = broker_for(account, simulation=False)

    def lost(*_: Any, **__: Any) -> None:
        raise requests.ConnectionError(ProtocolError("aborted", ConnectionResetError(104, "reset")))

    with trading_client(account) as client:
        monkeypatch.setattr(client.session, "request", lost)
    pool: Any = None
    try:
        raise NewConnectionError(pool, "of something else, a while ago")
    except NewConnectionError:
        assert type(failure(broker)) is UNKNOWN


def test_an_answer_that_was_dealt_with_before_says_nothing_of_another(exchange: ExchangeAt) -> None:
    another = requests.Response()
    cases = [
        ("binance", ORDER, "null", UNKNOWN, ""),
        ("binance", ORDER, {"code": -9999, "msg": "New."}, UNKNOWN, "-9999"),
        ("bybit", "/v5/order/create", {"retCode": 999999, "retMsg": "New.", "result": {}}, UNKNOWN, "999999"),
        ("bybit", "/v5/order/create", {"retCode": 10001, "retMsg": "No.", "result": {}}, REFUSED, "10001"),
    ]
    for another.status_code in (400, 429, 500):
        another._content = b'{"code": -2010, "msg": "Of another order."}'
        for name, path, body, kind, code in cases:
            broker = broker_at(name)
            answer(exchange, path, 200, body)
            try:
                raise requests.HTTPError("of another order", response=another)
            except requests.HTTPError:
                error = failure(broker)
            assert (type(error), error.code) == (kind, code), (another.status_code, name, body)
            assert "Of another order." not in str(error)


def test_a_list_of_markets_that_is_refused_says_nothing_of_the_order(
    exchange: ExchangeAt,
) -> None:
    for status in (401, 451):
        forget_clients()
        answer(exchange, "/api/v3/exchangeInfo", status, "<html>")
        error = failure(broker_at("binance"))
        assert (type(error), error.code) == (NotTaken, "")
    forget_clients()


def test_a_look_is_refused_only_where_it_would_be_again(exchange: ExchangeAt) -> None:
    broker = broker_at("binance")
    coded = [
        (400, {"code": code, "msg": "Says why."}, kind) for kind, all_ in BINANCE.items() for code in all_
    ]
    for status, body, kind in coded + STATUSES:
        if isinstance(body, dict) and body["code"] in (-2011, -2013):
            continue  # There is no such order.
        answer(exchange, ORDER, status, body)
        error = failure(broker, looking=True)
        assert type(error) is (Refused if kind is REFUSED else Unavailable), (status, body)


def test_codes_of_bybit(exchange: ExchangeAt) -> None:
    broker = broker_at("bybit")
    for code, words, kind in BYBIT:
        answer(exchange, "/v5/order/create", 200, {"retCode": code, "retMsg": words, "result": {}})
        error = failure(broker)
        assert (type(error), error.code) == (kind, str(code)), (code, words)
        assert str(error) == f"bybit: {words} ({code})"
    answer(exchange, "/v5/order/create", 403, "<html>")
    assert failure(broker).retry_after == 600


def test_errors_of_kraken(exchange: ExchangeAt) -> None:
    broker = broker_at("kraken")
    for words, kind in KRAKEN:
        answer(exchange, "/0/private/AddOrder", 200, {"error": [words]})
        error = failure(broker)
        assert (type(error), error.code) == (kind, words)
