"""What Kraken's and Bybit's own errors become, and the waits that they ask for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from apps.candles.venues import (
    VenueError,
    VenueRefused,
    VenueRubbish,
    VenueUnavailable,
    fetch_minutes,
    server_time,
    venue_client,
)
from tests.stack.exchange_process import RunningExchange

MINUTE = 60_000
SYMBOLS = {"kraken": "BTC/USD", "bybit": "BTC/USDT:USDT"}
CANDLES = {"kraken": "/0/public/OHLC", "bybit": "/v5/market/kline"}


def failure(client: Any) -> VenueError:
    """How a fetch fails; a second one, without the fault, must succeed."""
    end = server_time(client) // MINUTE * MINUTE
    arguments = client, SYMBOLS[client.id], end - 10 * MINUTE, end
    with pytest.raises(VenueError) as raised:
        fetch_minutes(*arguments, now_ms=end)
    assert len(fetch_minutes(*arguments, now_ms=end)) == 10
    return raised.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("EGeneral:Too many requests", VenueUnavailable),
        ("EAPI:Rate limit exceeded", VenueUnavailable),
        ("EGeneral:Temporary lockout", VenueUnavailable),
        ("EGeneral:Internal error", VenueUnavailable),
        ("EService:Unavailable", VenueUnavailable),
        ("EService:Busy", VenueUnavailable),
        ("EService:Market in cancel_only mode", VenueUnavailable),
        ("EService:Deadline elapsed", VenueUnavailable),
        ("EDatabase:Internal error", VenueUnavailable),
        ("EQuery:Unknown asset pair", VenueRefused),
        ("EQuery:Invalid asset pair", VenueRefused),
        ("EGeneral:Invalid arguments", VenueRefused),
        ("EGeneral:Permission denied", VenueRefused),
        ("EGeneral:Unknown method", VenueRefused),
        ("EAPI:Invalid key", VenueRefused),
    ],
)
def test_krakens_errors_come_with_a_success_and_are_seen_all_the_same(
    simulated: RunningExchange, clients: dict[str, Any], error: str, kind: type[VenueError]
) -> None:
    simulated.order(
        {"path": CANDLES["kraken"], "kind": "status", "status": 200, "body": {"error": [error]}},
    )
    raised = failure(clients["kraken"])
    assert type(raised) is kind, raised
    assert error in str(raised)
    assert raised.retry_after is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10000, VenueUnavailable),
        (10002, VenueUnavailable),
        (10006, VenueUnavailable),
        (10016, VenueUnavailable),
        (10018, VenueUnavailable),
        (10429, VenueUnavailable),
        (10001, VenueRefused),
        (10003, VenueRefused),
        (10005, VenueRefused),
        (99999, VenueRefused),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_bybits_return_codes_decide(
    simulated: RunningExchange, clients: dict[str, Any], status: int, code: int, kind: type[VenueError]
) -> None:
    body = {"retCode": code, "retMsg": "What it says.", "result": {}, "retExtInfo": {}, "time": 1}
    simulated.order({"path": CANDLES["bybit"], "kind": "status", "status": status, "body": body})
    raised = failure(clients["bybit"])
    assert type(raised) is kind, raised
    assert str(code) in str(raised)


def too_many_visits(**headers: Any) -> dict[str, Any]:
    return {
        "path": CANDLES["bybit"],
        "kind": "status",
        "status": 200,
        "body": {"retCode": 10006, "retMsg": "Too many visits!", "result": {}},
        "headers": headers,
    }


def test_bybits_limit_tells_when_it_is_lifted_by_its_own_clock(
    simulated: RunningExchange, clients: dict[str, Any]
) -> None:
    simulated.order(
        too_many_visits(**{"X-Bapi-Limit-Reset-Timestamp": 1_672_738_134_824, "Timenow": 1_672_738_132_324})
    )
    assert failure(clients["bybit"]).retry_after == 2.5


def test_bybits_limit_is_counted_from_here_where_its_clock_is_not_told(
    simulated: RunningExchange, clients: dict[str, Any]
) -> None:
    simulated.order(too_many_visits(**{"X-Bapi-Limit-Reset-Timestamp": int(time.time() * 1000) + 60_000}))
    wait = failure(clients["bybit"]).retry_after
    assert wait is not None
    assert 0 < wait <= 60


@pytest.mark.parametrize("moment", ["soon", "1672738134824"])
def test_a_moment_that_is_none_or_past_asks_for_no_wait(
    simulated: RunningExchange, clients: dict[str, Any], moment: str
) -> None:
    simulated.order(too_many_visits(**{"X-Bapi-Limit-Reset-Timestamp": moment}))
    assert not failure(clients["bybit"]).retry_after


def test_bybits_ban_of_an_address_is_waited_for(simulated: RunningExchange, clients: dict[str, Any]) -> None:
    simulated.order({"path": CANDLES["bybit"], "kind": "status", "status": 403})
    raised = failure(clients["bybit"])
    assert type(raised) is VenueUnavailable, raised
    assert raised.retry_after == 600


def test_a_country_that_bybit_does_not_serve_is_refused_for_good(
    simulated: RunningExchange, clients: dict[str, Any]
) -> None:
    body = (
        "<html><body>The Amazon CloudFront distribution is configured to block access from your country."
        "</body></html>"
    )
    simulated.order({"path": CANDLES["bybit"], "kind": "status", "status": 403, "body": body})
    assert type(failure(clients["bybit"])) is VenueRefused


@pytest.mark.parametrize("name", list(SYMBOLS))
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520])
def test_a_gateways_page_is_trouble_that_passes(
    simulated: RunningExchange, clients: dict[str, Any], name: str, status: int
) -> None:
    simulated.order(
        {"path": CANDLES[name], "kind": "status", "status": status, "headers": {"Retry-After": "9"}}
    )
    raised = failure(clients[name])
    assert type(raised) is VenueUnavailable, raised
    # What ccxt raises for 520 tells no response, and so no wait.
    assert raised.retry_after in ((9, None) if status == 520 else (9,))


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_a_refusal_without_a_code_is_rubbish(
    simulated: RunningExchange, clients: dict[str, Any], name: str
) -> None:
    body = {"error": []} if name == "kraken" else {"message": "no code"}
    simulated.order({"path": CANDLES[name], "kind": "status", "status": 200, "body": body})
    assert type(failure(clients[name])) is VenueRubbish


def test_the_limits_of_the_simulated_exchanges_are_met(
    simulated: RunningExchange, clients: dict[str, Any]
) -> None:
    flood = {"kraken": ("/0/public/Time", 80), "bybit": ("/v5/market/time", 700)}
    for name, (path, requests) in flood.items():
        for _ in range(requests):
            simulated.request("GET", path)
        with pytest.raises(VenueUnavailable) as limited:
            server_time(clients[name])
        assert limited.value.retry_after == (600 if name == "bybit" else None)


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_every_address_of_a_moved_client_is_moved(name: str) -> None:
    client = venue_client(name, base_urls={name: "http://127.0.0.1:9/sim/"})
    original = venue_client(name)
    for kind in ("api", "test", "demotrading"):
        if not original.urls.get(kind):
            assert kind != "api"
            continue
        assert client.urls[kind].keys() == original.urls[kind].keys()
        assert all(address.startswith("http://127.0.0.1:9/sim") for address in client.urls[kind].values())
