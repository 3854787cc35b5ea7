"""What bodies say, in each of the formats."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apps.orders.signals import Signal
from apps.webhooks.formats import FORMATS
from apps.webhooks.formats.base import Arrival, Asked, Malformed, exact
from tests.webhooks.helpers import ABSENT, action

TRADINGVIEW, PINEFORGE = FORMATS["tradingview"], FORMATS["pineforge"]


def parse(body: Any, *, form: Any = TRADINGVIEW, **arrival: Any) -> Asked:
    if isinstance(body, dict):
        body = json.dumps(body)
    raw = body if isinstance(body, bytes) else body.encode()
    asked: Asked = form.parse(Arrival(body=raw, size=len(raw), **arrival))
    return asked


def fault(body: Any, **more: Any) -> Malformed:
    with pytest.raises(Malformed) as caught:
        parse(body, **more)
    return caught.value


def good(**changes: Any) -> dict[str, Any]:
    fields = {"signal": "long_entry", "symbol": "BTCUSDT", "quantity": "0.5", **changes}
    return {name: value for name, value in fields.items() if value is not ABSENT}


def test_json_and_every_form_of_text_say_the_same():
    expected = parse(good(secret="s3", timestamp="2026-03-01T10:00:00Z"))
    assert expected.signal == Signal.LONG_ENTRY
    assert expected.symbol is not None
    assert (expected.symbol.text, expected.symbol.exchange, expected.symbol.swap) == ("BTCUSDT", "", None)
    assert (expected.quantity, expected.price, expected.simulation) == (Decimal("0.5"), None, True)
    assert expected.timestamp == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert expected.secret == "s3"
    for text in (
        "signal: long_entry\nsymbol: BTCUSDT\nquantity: 0.5\ntimestamp: 2026-03-01T10:00:00Z\nsecret: s3",
        "\ufeffSIGNAL=LONG_ENTRY\r\n\r\n  Symbol = BTCUSDT\r\nquantity=0.5\n"
        "timestamp=1772359200000\nsecret=s3\n",
        "long_entry BTCUSDT 0.5 secret=s3 timestamp=2026-03-01T10:00:00Z",
        "signal=long_entry symbol=BTCUSDT quantity=0.5 secret=s3 timestamp=2026-03-01T12:00:00+02:00",
        '  {"action": "Long_Entry", "symbol": "BTCUSDT", "contracts": 0.5, "secret": "s3",'
        ' "timestamp": 1772359200000}',
    ):
        asked = parse(text)
        for name in ("signal", "quantity", "timestamp", "secret", "simulation"):
            assert getattr(asked, name) == getattr(expected, name), (text, name)
        assert asked.symbol is not None
        assert asked.symbol.text == "BTCUSDT", text


def test_symbols_are_taken_apart():
    for given, expected in {
        "BTC/USDT": ("BTC/USDT", "", None),
        "BTC/USDT:USDT": ("BTC/USDT:USDT", "", None),
        "BINANCE:BTCUSDT": ("BTCUSDT", "binance", None),
        "BYBIT:ETHUSDT.P": ("ETHUSDT", "bybit", True),
        "ethusdt.p": ("ethusdt", "", True),
    }.items():
        symbol = parse(good(symbol=given)).symbol
        assert symbol is not None
        assert (symbol.text, symbol.exchange, symbol.swap) == expected
        assert symbol.given == given


def test_exits_take_no_quantity_and_no_price_and_entries_may_have_a_limit():
    for signal in ("long_exit", "short_exit"):
        asked = parse(good(signal=signal, quantity="{{strategy.order.contracts}}", price="-1"))
        assert (asked.quantity, asked.price) == (None, None)
    for signal in ("buy", "sell", "short_entry"):
        asked = parse(good(signal=signal, price="2500.10"))
        assert (asked.quantity, asked.price) == (Decimal("0.5"), Decimal("2500.1"))


def test_what_is_wrong_is_said_of_each_field():
    long_text = "x" * 200
    for changes, field, words in (
        ({"signal": "hold"}, "signal", "is none of"),
        ({"signal": ABSENT}, "signal", "required"),
        ({"signal": 7}, "signal", "is none of"),
        ({"signal": ["buy"]}, "signal", "Expected text"),
        ({"symbol": ABSENT}, "symbol", "required"),
        ({"symbol": "BTC USDT"}, "symbol", "Expected something like"),
        ({"symbol": long_text}, "symbol", "longer than"),
        ({"symbol": "BINANCE:.P"}, "symbol", "no name before .P"),
        ({"quantity": ABSENT}, "quantity", "required"),
        ({"quantity": None}, "quantity", "required"),
        ({"quantity": 0}, "quantity", "positive"),
        ({"quantity": -1}, "quantity", "positive"),
        ({"quantity": "1e30"}, "quantity", "positive"),
        ({"quantity": "1e-19"}, "quantity", "positive"),
        ({"quantity": "NaN"}, "quantity", "positive"),
        ({"quantity": "1_000"}, "quantity", "positive"),
        ({"quantity": True}, "quantity", "Expected a number"),
        (
            {"quantity": "{{strategy.order.contracts}}"},
            "quantity",
            "{{strategy.order.contracts}} was not replaced",
        ),
        ({"price": "much"}, "price", "positive"),
        ({"timestamp": "yesterday"}, "timestamp", "ISO 8601"),
        ({"timestamp": "2026-03-01T10:00:00"}, "timestamp", "ISO 8601"),
        ({"timestamp": 1.5}, "timestamp", "ISO 8601"),
        ({"timestamp": "{{timenow}}"}, "timestamp", "was not replaced"),
        ({"simulation": "perhaps"}, "simulation", "true or false"),
        ({"id": "two words"}, "id", "no blanks"),
        ({"secret": {"a": 1}}, "secret", "Expected text"),
    ):
        exc = fault(good(**changes))
        assert exc.code == "invalid", changes
        assert [one.field for one in exc.faults] == [field], changes
        assert words in exc.faults[0].detail, (changes, exc.faults[0].detail)
        assert exc.fields is not None
    assert [one.field for one in fault(good(signal="x", quantity=0, price=0, symbol="")).faults] == [
        "signal",
        "symbol",
    ]


def test_what_is_no_body_is_refused_with_a_reason():
    for body, words in (
        ("", "empty"),
        ("  \n ", "empty"),
        ('{"signal": "buy", "signal": "sell"}', "says 'signal' twice"),
        ('{"a": {"b": 1, "b": 2}}', "says 'b' twice"),
        ("signal: buy\nsignal: sell", "says 'signal' twice"),
        (good(action="buy"), "both 'signal' and 'action'"),
        ("[1]", "not an object"),
        ('{"signal": ', "not JSON"),
        ('{"quantity": NaN}', "NaN is no number"),
        ('{"quantity": 1e9999999999999999999}', "not JSON"),
        ('{"quantity": {{strategy.order.contracts}}}', "{{strategy.order.contracts}} was not replaced"),
        ("BTC crossed 30000", "Neither JSON nor lines"),
        ("buy BTCUSDT 1 2", "A word too many"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"signal": "b\x00y"}', "NUL"),
        ('{"comment": "\\u0000"}', "NUL"),
        ('{"comment": "\\ud800"}', "half of a surrogate pair"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested too deeply"),
        ("[" * 15_000, "nested too deeply"),
    ):
        exc = fault(body)
        assert exc.code == "malformed", body
        assert words in exc.detail, (body, exc.detail)


def test_simulation_is_what_either_place_says_and_paper_where_none_does():
    for query, said, expected in (
        (None, ABSENT, True), ("false", ABSENT, False), ("TRUE", ABSENT, True), (None, False, False),
        (None, "false", False), ("0", "false", False), ("1", True, True),
    ):  # fmt: skip
        assert parse(good(simulation=said), simulation=query).simulation is expected, (query, said)
    assert "opposite" in fault(good(simulation=True), simulation="false").detail
    assert "true or false" in fault(good(), simulation="maybe").detail


def test_the_key_is_the_senders_or_made_of_all_but_the_secret():
    first = parse(good(secret="one", comment="x"))
    assert first.key == f"sha256:{first.digest}"
    assert first.key == parse(good(comment="x", secret="two")).key
    assert first.key == parse("long_entry BTCUSDT 0.5 comment=x secret=three").key
    for other in (good(comment="y"), good(comment="x", quantity="0.50"), good(comment="x", simulation=False)):
        assert parse(other).key != first.key
    named = parse(good(id="a-1"))
    assert named.key == "id:a-1"
    assert named.digest == parse(good(id="a-2")).digest
    header = {"idempotency-key": "a-1"}
    assert parse(good(), headers=header).key == "id:a-1"
    assert parse(good(id="a-1"), headers=header).key == "id:a-1"
    assert "says something else" in fault(good(id="a-2"), headers=header).detail
    assert fault(good(), headers={"idempotency-key": "é"}).faults[0].field == "Idempotency-Key"


def test_amounts_are_exact_or_refused():
    for given, expected in {
        "0.000000000000000001": "0.000000000000000001",
        "12345678901234567890.123456789012345678": "12345678901234567890.123456789012345678",
        "12345678901234567890.12345678901234567800000": "12345678901234567890.123456789012345678",
        "1.50": "1.5",
        "1e3": "1000",
        "00.1": "0.1",
    }.items():
        number = exact(given)
        assert number is not None
        assert f"{number:f}" == expected
    for given in ("0", "-1", "", "1e20", "100000000000000000000", "1e-400", "inf", "0x1", "1 2", "9" * 100):
        assert exact(given) is None, given
    assert parse('{"signal":"buy","symbol":"A/B","quantity":0.1}').quantity == Decimal("0.1")


def test_only_confirmed_actions_of_pineforge_are_signals():
    for side, leg, signal in (
        ("buy", "entry", Signal.LONG_ENTRY),
        ("sell", "exit", Signal.LONG_EXIT),
        ("sell", "entry", Signal.SHORT_ENTRY),
        ("buy", "exit", Signal.SHORT_EXIT),
    ):
        event = action(side=side, leg=leg)
        asked = parse(event, form=PINEFORGE)
        assert (asked.signal, asked.key, asked.price) == (signal, f"id:{event['event_id']}", None)
        assert asked.quantity == (Decimal("0.25") if leg == "entry" else None)
        assert asked.symbol is not None
        assert (asked.symbol.text, asked.symbol.swap, asked.simulation) == ("BTCUSDT", False, True)
    perp = {"market_type": "perp", "symbol": "ETHUSDT"}
    symbol = parse(action(instrument=perp), form=PINEFORGE).symbol
    assert symbol is not None
    assert symbol.swap is True
    for changes in (
        {"status": "provisional"},
        {"event": "order_update"},
        {"event": "order_update", "status": "retracted"},
    ):
        asked = parse(action(**changes), form=PINEFORGE)
        assert (asked.signal, asked.symbol) == (None, None)
        assert asked.idle == f"{changes.get('event', 'order_action')} {changes.get('status', 'confirmed')}"


def test_events_of_pineforge_are_checked_and_told_apart_by_their_bytes():
    for changes, field in (
        ({"schema_version": 2}, "schema_version"),
        ({"event": "order_wish"}, "event"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "a b"}, "event_id"),
        ({"timestamp": None}, "timestamp"),
        ({"status": None}, "status"),
        ({"order": None}, "order"),
        ({"order": {"action": "hold", "leg": "entry", "contracts": 1}}, "order.action"),
        ({"order": {"action": "buy", "leg": "middle", "contracts": 1}}, "order.leg"),
        ({"order": {"action": "buy", "leg": "entry", "contracts": 0}}, "order.contracts"),
        ({"instrument": "BTCUSDT"}, "instrument"),
        ({"instrument": {"market_type": "spot"}}, "instrument.symbol"),
        ({"instrument": {"market_type": "bonds", "symbol": "X"}}, "instrument.market_type"),
    ):
        exc = fault(action(**changes), form=PINEFORGE)
        assert field in [one.field for one in exc.faults], (changes, exc.faults)
    event = action(event_id="e-1")
    for header in ("x-pineforge-event-id", "idempotency-key"):
        assert "says something else" in fault(event, form=PINEFORGE, headers={header: "e-2"}).detail
    first = parse(json.dumps(event), form=PINEFORGE)
    spaced = parse(json.dumps(event, indent=1), form=PINEFORGE)
    real = parse(json.dumps(event), form=PINEFORGE, simulation="false")
    assert first.key == spaced.key == real.key
    assert len({first.digest, spaced.digest, real.digest}) == 3
