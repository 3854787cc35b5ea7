"""Who may send signed requests to the simulated Binance, and for how long they are good."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from apps.stack.exchange.signing import signature_of
from tests.stack.exchanges import LocalExchange, local, standing

__all__ = ["local", "standing"]

ORDER = "/api/v3/order"
TRIED = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001"


def test_signatures_are_those_of_the_documented_examples() -> None:
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    rest = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    for symbol, signature in (
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (
            "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ):
        assert signature_of(f"symbol={symbol}&{rest}", secret) == signature


def test_what_is_signed_is_the_query_and_then_the_body(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    stamped = f"{TRIED}&timestamp={trader.now_ms()}"
    signature = trader.sign(stamped)
    head, tail = stamped.split("&type", 1)
    tail = f"type{tail}"
    split = trader.sign(head + tail)
    for query, body in (
        (f"{stamped}&signature={signature}", ""),
        ("", f"{stamped}&signature={signature}"),
        (f"signature={signature}", stamped),
        (stamped, f"signature={signature}"),
        (stamped, f"signature={signature.upper()}"),
        (head, f"{tail}&signature={split}"),
        (f"{head}&signature={split}", tail),
    ):
        reply = trader.raw("POST", f"{ORDER}/test", query, body)
        assert (reply.status, reply.json) == (200, {}), (query, body, reply.json)
    # The wrong way round, and with something more in the body.
    for query, body in ((tail, f"{head}&signature={split}"), (stamped, f"signature={signature}&price=1")):
        reply = trader.raw("POST", f"{ORDER}/test", query, body)
        assert (reply.status, reply.json["code"]) == (400, -1022)


def test_a_parameter_in_query_and_body_has_the_value_of_the_query(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    query, body = f"{TRIED}&timestamp={trader.now_ms()}", "quantity=0.002"
    signed = f"{body}&signature={trader.sign(query + body)}"
    assert trader.raw("POST", ORDER, query, signed).json["executedQty"] == "0.00100000"
    twice = f"{query}&quantity=0.002"
    reply = trader.raw("POST", ORDER, f"{twice}&signature={trader.sign(twice)}")
    assert reply.json == {"code": -1101, "msg": "Duplicate values for a parameter detected."}


def test_keys_and_signatures_that_are_not_right_are_refused(local: LocalExchange) -> None:
    trader, other = local.trader(USDT="10000"), local.trader(USDT="10000")
    now = trader.now_ms()
    payload = f"{TRIED}&timestamp={now}"
    signed = f"{payload}&signature={trader.sign(payload)}"
    mandatory = "Mandatory parameter '{}' was not sent, was empty/null, or malformed.".format
    key_format = {"code": -2014, "msg": "API-key format invalid."}
    invalid = {"code": -1022, "msg": "Signature for this request is not valid."}
    cases: list[tuple[str, str, int, dict[str, Any]]] = [
        ("", signed, 401, key_format),
        ("with space", signed, 401, key_format),
        ("short", signed, 401, key_format),
        (
            "nobody-has-this-key",
            signed,
            401,
            {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
        ),
        (other.key, signed, 400, invalid),
        (trader.key, signed.replace("0.001", "0.002"), 400, invalid),
        (trader.key, f"{payload}&signature=abc", 400, invalid),
        (trader.key, f"{payload}&signature=%C3%A9", 400, invalid),
        (trader.key, payload, 400, {"code": -1102, "msg": mandatory("signature")}),
        (trader.key, f"{TRIED}&signature=abc", 400, {"code": -1102, "msg": mandatory("timestamp")}),
        (
            trader.key,
            f"{TRIED}&timestamp=now&signature=abc",
            400,
            {
                "code": -1100,
                "msg": "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'.",
            },
        ),
    ]
    for key, query, status, refusal in cases:
        reply = trader.raw("POST", ORDER, query, key=key)
        assert (reply.status, reply.json) == (status, refusal), query
    assert trader.books()["orders"] == other.books()["orders"] == []
    assert trader.raw("POST", ORDER, signed).status == 200


def test_a_request_is_good_for_its_window(local: LocalExchange) -> None:
    trader = local.trader(USDT="10000")
    now = trader.now_ms()
    outside = (-1021, "Timestamp for this request is outside of the recvWindow.")
    ahead = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    for parameters, refusal in (
        ({"timestamp": now - 5000}, None),
        ({"timestamp": now - 5001}, outside),
        ({"timestamp": now + 999}, None),
        ({"timestamp": now + 1000}, ahead),
        ({"timestamp": (now - 5000) * 1000}, None),
        ({"timestamp": (now - 5000) * 1000 - 1}, outside),
        ({"timestamp": now - 60_000, "recvWindow": 60_000}, None),
        ({"timestamp": now - 60_001, "recvWindow": 60_000}, outside),
        ({"timestamp": now - 6000, "recvWindow": "6000.346"}, None),
        ({"timestamp": now - 6001, "recvWindow": "6000.346"}, outside),
        (
            {"recvWindow": 60_001},
            (-1102, "'recvWindow' contains unexpected value. Cannot be greater than 60000."),
        ),
        (
            {"recvWindow": "long"},
            (
                -1100,
                "Illegal characters found in parameter 'recvWindow'; legal range is "
                "'^[0-9]{1,20}(\\.[0-9]{1,3})?$'.",
            ),
        ),
    ):
        payload = urlencode({"symbol": "BTCUSDT", "timestamp": now} | parameters)
        reply = trader.raw("GET", "/api/v3/openOrders", f"{payload}&signature={trader.sign(payload)}")
        if refusal is None:
            assert (reply.status, reply.json) == (200, []), parameters
        else:
            assert (reply.status, reply.json["code"], reply.json["msg"]) == (400, *refusal), parameters


def test_signed_endpoints_have_their_methods_only(local: LocalExchange) -> None:
    trader = local.trader()
    for method, path in (
        ("POST", "account"),
        ("DELETE", "myTrades"),
        ("GET", "order/test"),
        ("PUT", "order"),
    ):
        assert trader.send(method, path, symbol="BTCUSDT").status in (404, 501), path
