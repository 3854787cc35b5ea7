"""Each layer on its own, and the order that they are asked in."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.core.crypto import seal
from apps.core.ids import uuid7
from apps.core.problems import TITLES
from apps.orders.signals import Signal
from apps.ratelimits.limiter import Policy, Result
from apps.ratelimits.scopes import Verdict as Room
from apps.webhooks import layers
from apps.webhooks.addresses import allows, normal
from apps.webhooks.checks import check_settings
from apps.webhooks.codes import CODES, Layer
from apps.webhooks.facts import Earlier, Facts, Sender, Target
from apps.webhooks.formats import FORMATS
from apps.webhooks.formats.base import Arrival, Asked, Credentials, Malformed, SymbolName
from apps.webhooks.layers import ADMISSION, SCREENING, Refusal, Repeated, decide

NOW = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)
SECRET = "the right one"
ID = uuid7()


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def facts(*, target: dict[str, Any] | None = None, asked: dict[str, Any] | None = None, **more: Any) -> Facts:
    """Of a delivery that nothing is wrong with, with changes."""
    credentials = Credentials(secret_hashes=(hashed(SECRET),))
    values = {
        "now": NOW, "endpoint_id": ID, "account_id": ID, "exchange": "binance",
        "account_simulation": False, "has_keys": True, "credentials": credentials, "simulation_only": False,
        "limit": 5, "used": 4,
    }  # fmt: skip
    said = {
        "signal": Signal.BUY, "symbol": SymbolName(text="BTCUSDT", given="BTCUSDT"), "quantity": Decimal(1),
        "timestamp": NOW, "simulation": False, "secret": SECRET, "key": "id:1", "digest": "d", "fields": {},
    }  # fmt: skip
    made = {
        "format": FORMATS["tradingview"],
        "arrival": Arrival(body=b"{}"),
        "sender": Sender(address="203.0.113.7"),
        "found": Target(**{**values, **(target or {})}),
        "parsed": Asked(**{**said, **(asked or {})}),
        "instrument": 7,
        **more,
    }
    return Facts(**made)


def room(*, allowed: bool, retry_after: int | None = 17, asked: bool = True) -> Room:
    """What the limit of the endpoint says; without *asked*, that nobody could say."""
    policy = Policy("webhook-signals/endpoint", 60, 60_000)
    wait = None if retry_after is None else retry_after * 1000
    said = Result(policy, f"endpoint:{ID}", remaining=0, used=60, full=not allowed, wait=wait)
    return Room(allowed=allowed, retry_after=retry_after, results=(said,) if asked else ())


def code(verdict: Any) -> str:
    return verdict.code if isinstance(verdict, Refusal) else "" if verdict is None else "repeated"


def test_a_good_delivery_passes_every_layer():
    for layer in (*SCREENING, *ADMISSION):
        assert layer(facts()) is None, layer
    paper = facts(asked={"simulation": True, "timestamp": None})
    assert decide(paper, (*SCREENING, *ADMISSION)) is None


def test_the_token_layer():
    assert code(layers.token(facts(found=None))) == "unknown_token"
    for field, expected in (
        ("endpoint_enabled", "endpoint_disabled"),
        ("user_active", "user_disabled"),
        ("account_enabled", "account_disabled"),
    ):
        assert code(layers.token(facts(target={field: False}))) == expected


def test_the_address_layer():
    for allowed, address, expected in (
        ((), "203.0.113.7", True),
        ((), "", True),
        (("203.0.113.0/24",), "203.0.113.7", True),
        (("203.0.113.0/24",), "203.0.114.7", False),
        (("203.0.113.0/24",), "::ffff:203.0.113.7", True),
        (("203.0.113.0/24",), "", False),
        (("203.0.113.0/24", "2001:db8::/32"), "2001:db8::1", True),
        (("tradingview",), "52.89.214.238", True),
        (("tradingview",), "52.32.178.7", True),
        (("tradingview",), "52.32.178.8", False),
        (("tradingview", "198.51.100.1/32"), "198.51.100.1", True),
    ):
        assert allows(allowed, address) is expected, (allowed, address)
        verdict = layers.address(facts(target={"allowed_addresses": allowed}, sender=Sender(address=address)))
        assert code(verdict) == ("" if expected else "address_blocked")
    assert [normal(one) for one in (" TradingView", "203.0.113.7", "203.0.113.0/24", "2001:DB8::/32")] == [
        "tradingview", "203.0.113.7/32", "203.0.113.0/24", "2001:db8::/32",
    ]  # fmt: skip
    for entry in ("203.0.113.7/24", "nowhere", "", "203.0.113.256"):
        with pytest.raises(ValueError):
            normal(entry)


def test_the_preset_of_tradingview_is_what_the_setting_says(settings):
    addresses = ("52.89.214.238", "198.51.100.9", "2001:db8::9")
    for setting, expected in (
        (["52.89.214.238"], [True, False, False]),
        (["198.51.100.0/24", "2001:db8::/32"], [False, True, True]),
        ([], [False, False, False]),
    ):
        settings.TRADINGVIEW_ADDRESSES = setting
        for address, allowed in zip(addresses, expected, strict=True):
            one = facts(target={"allowed_addresses": ("tradingview",)}, sender=Sender(address=address))
            assert code(layers.address(one)) == ("" if allowed else "address_blocked"), (setting, address)


def test_settings_that_no_signal_could_be_taken_with_are_found(settings):
    assert check_settings(app_configs=None) == []
    settings.TRADINGVIEW_ADDRESSES = ["198.51.100.0/24", "198.51.100.7/24", "nowhere"]
    settings.RATELIMITS_GROUPS = [{"name": "default", "rules": {"a": {"by": "address", "rate": "1/s"}}}]
    found = check_settings(app_configs=None)
    assert [one.id for one in found] == ["webhooks.E001", "webhooks.E002", "webhooks.E002"]
    assert "198.51.100.7/24" in found[1].msg
    settings.TRADINGVIEW_ADDRESSES = []
    settings.RATELIMITS_GROUPS = [{"name": "webhook-signals", "exempt": True}]
    assert check_settings(app_configs=None) == []


def test_the_shape_layer():
    malformed = Malformed("no", code="malformed")
    assert code(layers.shape(facts(parsed=None, malformed=malformed))) == "malformed"
    too_large = Malformed("no", code="too_large")
    assert code(layers.shape(facts(parsed=None, malformed=too_large))) == "too_large"
    missing = layers.shape(facts(asked={"timestamp": None}))
    assert isinstance(missing, Refusal)
    assert (missing.code, missing.faults[0].field) == ("invalid", "timestamp")
    assert layers.shape(facts(asked={"timestamp": None, "simulation": True})) is None
    assert layers.shape(facts(asked={"timestamp": None}, target={"account_simulation": True})) is None


def test_the_timestamp_layer():
    late = {"pineforge": "", "tradingview": "expired"}
    for age, window, expected in (
        (0, 300, ""), (299, 300, ""), (300, 300, ""), (301, 300, "expired"), (120, 60, "expired"),
        (599, 600, ""), (-60, 60, ""), (-61, 60, "ahead"),
    ):  # fmt: skip
        for name, when_late in late.items():
            one = facts(
                format=FORMATS[name],
                asked={"timestamp": NOW - timedelta(seconds=age)},
                target={"window_seconds": window},
            )
            assert code(layers.timestamp(one)) == (when_late if expected == "expired" else expected), age
            assert one.idle == ("expired" if expected == "expired" and name == "pineforge" else "")
    assert layers.timestamp(facts(asked={"timestamp": None})) is None


def test_the_secret_layer_of_tradingview():
    two = Credentials(secret_hashes=(hashed("new"), hashed("old")))
    lax = Credentials(secret_hashes=(hashed(SECRET),), require_secret=False)
    for given, credentials, simulation, expected in (
        (SECRET, None, False, ""),
        ("wrong", None, False, "secret_wrong"),
        ("wrong", None, True, "secret_wrong"),
        ("", None, True, "secret_missing"),
        ("", lax, True, ""),
        ("", lax, False, "secret_missing"),
        ("wrong", lax, True, "secret_wrong"),
        ("new", two, False, ""),
        ("old", two, False, ""),
        (SECRET, two, False, "secret_wrong"),
        ("é", None, False, "secret_wrong"),
    ):
        target = {} if credentials is None else {"credentials": credentials}
        one = facts(asked={"secret": given, "simulation": simulation}, target=target)
        assert code(layers.secret(one)) == expected, (given, simulation)


def test_the_secret_layer_of_pineforge():
    body = b'{"a": 1}'
    credentials = Credentials(
        signing_secrets=(seal("new", context="c"), seal("old", context="c")), signing_context="c"
    )

    def signed(secret: str, what: bytes = body) -> str:
        return "sha256=" + hmac.new(secret.encode(), what, hashlib.sha256).hexdigest()

    for header, given, expected in (
        (signed("new"), credentials, ""),
        (signed("old"), credentials, ""),
        (signed("new").replace("sha256=", "sha256=").upper().replace("SHA256", "sha256"), credentials, ""),
        (signed("other"), credentials, "secret_wrong"),
        (signed("new", b'{"a":1}'), credentials, "secret_wrong"),
        (signed("new")[:-1], credentials, "secret_wrong"),
        ("md5=abc", credentials, "secret_wrong"),
        ("", credentials, "secret_missing"),
        (signed("new"), Credentials(), "secret_missing"),
    ):
        headers = {"x-pineforge-signature": header} if header else {}
        one = facts(
            format=FORMATS["pineforge"],
            arrival=Arrival(body=body, headers=headers),
            target={"credentials": given},
        )
        assert code(layers.secret(one)) == expected, header


def test_the_replay_layer():
    earlier = Earlier(digest="d", status=202, answer={"delivery": "x"})
    assert layers.replay(facts(earlier=earlier)) == Repeated(earlier=earlier)
    assert code(layers.replay(facts(earlier=replace(earlier, digest="other")))) == "replay_conflict"


def test_the_rate_layer():
    shut = room(allowed=False, retry_after=None)
    away = room(allowed=False, retry_after=1, asked=False)
    for said, asked, expected in (
        (None, {}, ("", None, None)),
        (room(allowed=True, retry_after=None), {}, ("", None, None)),
        (room(allowed=False), {}, ("rate_limited", 429, 17)),
        (room(allowed=False), {"signal": None}, ("rate_limited", 429, 17)),
        (room(allowed=False), {"signal": Signal.LONG_EXIT}, ("", None, None)),
        (room(allowed=False), {"signal": Signal.SHORT_EXIT}, ("", None, None)),
        (shut, {}, ("rate_limited", 429, None)),
        (away, {}, ("rate_unknown", 503, 1)),
        (away, {"signal": Signal.LONG_EXIT}, ("", None, None)),
    ):
        verdict = layers.rate(facts(room=said, asked=asked))
        told = (verdict.status, verdict.retry_after) if isinstance(verdict, Refusal) else (None, None)
        assert (code(verdict), *told) == expected, (said, asked)


def test_of_senders_who_keep_an_order_what_the_server_cannot_tell_is_refused():
    """They come again then; what the account may not do, and too many signals, is passed over."""
    for said, passed in ((room(allowed=False), True), (room(allowed=False, asked=False), False)):
        for name, in_order in (("pineforge", True), ("tradingview", False)):
            one = facts(format=FORMATS[name], room=said)
            verdict = layers.rate(one)
            assert verdict is not None
            assert layers.passes_over(one, verdict) is (passed and in_order), (said, name)


def test_the_symbol_layer():
    name = SymbolName(text="BTCUSDT", exchange="bybit", given="BYBIT:BTCUSDT")
    verdict = layers.symbol(facts(asked={"symbol": name}, instrument=None))
    assert isinstance(verdict, Refusal)
    assert verdict.detail == "BYBIT:BTCUSDT is at bybit, and this endpoint's account at binance."
    for swap, words in ((True, "perpetual contract"), (False, "spot market"), (None, "market")):
        unknown = SymbolName(text="XYZ", swap=swap, given="XYZ.P" if swap else "XYZ")
        verdict = layers.symbol(facts(asked={"symbol": unknown}, instrument=None))
        assert isinstance(verdict, Refusal)
        assert f"{words} {unknown.given}" in verdict.detail
        assert verdict.faults[0].field == "symbol"
    idle = facts(asked={"signal": None, "symbol": None, "idle": "order_update"}, instrument=None)
    assert layers.symbol(idle) is None


def test_the_plan_layer():
    for target, asked, expected in (
        ({"simulation_only": True}, {}, "simulation_only"),
        ({"simulation_only": True}, {"simulation": True}, ""),
        ({"simulation_only": True, "account_simulation": True}, {}, ""),
        ({"has_keys": False}, {}, "keys_missing"),
        ({"has_keys": False}, {"simulation": True}, ""),
        ({"used": 5}, {}, "daily_limit"),
        ({"used": 5}, {"signal": Signal.LONG_EXIT}, ""),
        ({"used": 5}, {"signal": Signal.SHORT_EXIT}, ""),
        ({"used": 5}, {"signal": Signal.SHORT_ENTRY}, "daily_limit"),
        ({"limit": 0, "used": 0}, {}, "daily_limit"),
        ({"used": 5}, {"signal": None}, ""),
    ):
        assert code(layers.plan(facts(target=target, asked=asked))) == expected, (target, asked)
    verdict = layers.plan(facts(target={"used": 5}))
    assert isinstance(verdict, Refusal)
    # From six in the evening to midnight.
    assert verdict.retry_after == 6 * 3600


def test_the_first_layer_that_refuses_decides():
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("daily_limit", {"target": {"used": 99}}),
        ("unknown_symbol", {"instrument": None}),
        ("rate_limited", {"room": room(allowed=False)}),
        ("replay_conflict", {"earlier": Earlier(digest="other", status=202, answer={})}),
        ("secret_wrong", {"asked": {"secret": "wrong"}}),
        ("expired", {"asked": {"timestamp": NOW - timedelta(hours=1)}}),
        ("malformed", {"malformed": Malformed("no")}),
        ("address_blocked", {"target": {"allowed_addresses": ("tradingview",)}}),
        ("endpoint_disabled", {"target": {"endpoint_enabled": False}}),
    ]
    made: dict[str, Any] = {"target": {}, "asked": {}}
    decided = []
    for expected, change in wrong:
        for name, value in change.items():
            made[name] = {**made[name], **value} if name in ("target", "asked") else value
        decided.append((expected, code(decide(facts(**made), (*SCREENING, *ADMISSION)))))
    assert decided == [(expected, expected) for expected, _ in wrong]
    order = [CODES[expected].layer for expected, _ in reversed(wrong)]
    assert order == list(Layer)
    # A repeated one is answered although the day's orders, and all room, are used up meanwhile.
    again = facts(
        target={"used": 99},
        earlier=Earlier(digest="d", status=202, answer={}),
        instrument=None,
        room=room(allowed=False),
    )
    assert code(decide(again, (*SCREENING, *ADMISSION))) == "repeated"


def test_every_code_has_a_problem():
    assert {one.problem for one in CODES.values()} <= TITLES.keys()
