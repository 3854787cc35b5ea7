"""The real client trades on the simulated Binance, made as the product makes it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from apps.candles.venues.client import venue_client
from apps.stack.exchange.api import Exchange
from tests.stack.exchange_process import ExchangeAt
from tests.stack.exchanges import Trader, serving

BTC, ETH = "BTC/USDT", "ETH/USDT"


@pytest.fixture(scope="module")
def served() -> Iterator[ExchangeAt]:
    with serving(Exchange(seed=7)) as url:
        yield ExchangeAt(url=url)


@pytest.fixture(scope="module")
def markets(served: ExchangeAt) -> Any:
    """A client that knows the markets."""
    client = client_of(served)
    client.load_markets()
    return client


def client_of(exchange: ExchangeAt, trader: Trader | None = None) -> Any:
    client: Any = venue_client("binance", base_urls={"binance": exchange.url})
    client.enableRateLimit = False
    if trader is not None:
        client.apiKey, client.secret = trader.key, trader.secret
    return client


@pytest.fixture
def trader(served: ExchangeAt) -> Trader:
    served.calm()
    return Trader.opened(served, USDT="100000", ETH="5")


@pytest.fixture
def client(served: ExchangeAt, markets: Any, trader: Trader) -> Any:
    client = client_of(served, trader)
    client.set_markets_from_exchange(markets)
    return client


def test_a_market_order_from_its_placement_to_its_trades(client: Any, trader: Trader) -> None:
    placed = client.create_order(BTC, "market", "buy", "0.01234", None, {"newClientOrderId": "mine-1"})
    assert (placed["status"], placed["clientOrderId"], placed["symbol"]) == ("closed", "mine-1", BTC)
    assert Decimal(placed["filled"]) == Decimal("0.01234")
    assert Decimal(placed["cost"]) == Decimal(placed["average"]) * Decimal("0.01234")
    found = client.fetch_order(placed["id"], BTC)
    by_name = client.fetch_order(None, BTC, {"origClientOrderId": "mine-1"})
    assert found == by_name
    assert {key: found[key] for key in ("id", "status", "filled", "cost")} == {
        key: placed[key] for key in ("id", "status", "filled", "cost")
    }
    (trade,) = client.fetch_my_trades(BTC, params={"orderId": placed["id"]})
    assert (trade["order"], trade["side"], trade["takerOrMaker"]) == (placed["id"], "buy", "taker")
    assert [trade["id"]] == [fill["id"] for fill in placed["trades"]]
    assert (Decimal(trade["amount"]), Decimal(trade["price"])) == (
        Decimal("0.01234"),
        Decimal(placed["average"]),
    )
    assert (trade["fee"]["currency"], Decimal(trade["fee"]["cost"])) == ("BTC", Decimal("0.00001234"))
    balance = client.fetch_balance()
    assert Decimal(balance["BTC"]["free"]) == Decimal("0.01234") - Decimal("0.00001234")
    assert Decimal(balance["USDT"]["total"]) == 100_000 - Decimal(placed["cost"]) == trader.has("USDT")


def test_a_limit_order_rests_and_is_cancelled(client: Any) -> None:
    placed = client.create_order(BTC, "limit", "buy", "0.01", "20000", {"newClientOrderId": "mine-2"})
    assert (placed["status"], placed["filled"]) == ("open", "0.00000000")
    assert Decimal(client.fetch_balance()["USDT"]["used"]) == 200
    assert [order["id"] for order in client.fetch_open_orders(BTC)] == [placed["id"]]
    cancelled = client.cancel_order(placed["id"], BTC)
    assert (cancelled["status"], cancelled["id"]) == ("canceled", placed["id"])
    assert client.fetch_order(placed["id"], BTC)["status"] == "canceled"
    assert Decimal(client.fetch_balance()["USDT"]["used"]) == 0
    assert [order["id"] for order in client.fetch_orders(BTC)] == [placed["id"]]
    assert client.fetch_open_orders(BTC) == []


def test_orders_are_cancelled_by_name_and_all_together(client: Any) -> None:
    for name in ("a", "b", "c"):
        client.create_order(ETH, "limit", "sell", "0.5", "9000", {"newClientOrderId": name})
    client.cancel_order(None, ETH, {"origClientOrderId": "b"})
    assert {order["clientOrderId"] for order in client.fetch_open_orders(ETH)} == {"a", "c"}
    assert len(client.cancel_all_orders(ETH)) == 2
    assert client.fetch_open_orders(ETH) == []


def test_other_kinds_of_orders_that_the_client_knows(client: Any) -> None:
    spent = client.create_order(BTC, "market", "buy", "100", None, {"quoteOrderQty": "100"})
    assert 99 < Decimal(spent["cost"]) <= 100
    maker = client.create_order(ETH, "limit", "sell", "0.5", "9000", {"postOnly": True})
    assert client.fetch_order(maker["id"], ETH)["info"]["type"] == "LIMIT_MAKER"
    missed = client.create_order(BTC, "limit", "buy", "0.01", "20000", {"timeInForce": "IOC"})
    assert missed["status"] == "expired"
    assert client.create_order(BTC, "market", "buy", "0.001", None, {"test": True})["id"] is None


def test_precision_is_what_the_filters_say(client: Any) -> None:
    market = client.market(BTC)
    steps = [Decimal(market["precision"][what]) for what in ("amount", "price")]
    assert steps == [Decimal("0.00001"), Decimal("0.01")]
    # The client cuts off what is finer than a lot, so nothing is refused for it.
    placed = client.create_order(BTC, "market", "buy", "0.0012399999", None)
    assert Decimal(placed["amount"]) == Decimal("0.00123")
    (row,) = client.fetch_tickers([BTC]).values()
    best = client.fetch_order_book(BTC, 5)
    assert best["bids"][0][0] < best["asks"][0][0]
    assert Decimal(row["last"]) > 0


def refusal(ask: Any) -> type[Exception]:
    with pytest.raises(ccxt.BaseError) as caught:
        ask()
    return caught.type


def test_refusals_are_the_errors_that_the_client_makes_of_the_real_ones(
    client: Any, trader: Trader, served: ExchangeAt
) -> None:
    def buy(quantity: str = "0.01", price: str | None = None, **more: Any) -> Any:
        return client.create_order(BTC, "market" if price is None else "limit", "buy", quantity, price, more)

    buy("0.001", "20000", newClientOrderId="open")
    for ask, error in (
        (lambda: buy("50"), ccxt.InsufficientFunds),
        (lambda: buy("0.001", newClientOrderId="open"), ccxt.InvalidOrder),
        (lambda: buy("0.00001"), ccxt.BadRequest),
        (lambda: buy("9000000.1"), ccxt.InvalidOrder),
        (lambda: buy("0.001", "2000000"), ccxt.InvalidOrder),
        (lambda: client.fetch_order("99", BTC), ccxt.OrderNotFound),
        (lambda: client.fetch_order(None, BTC, {"origClientOrderId": "none"}), ccxt.OrderNotFound),
        (lambda: client.cancel_order("99", BTC), ccxt.OrderNotFound),
    ):
        assert refusal(ask) is error
    faults: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"kind": "lost"}, ccxt.NetworkError),
        ({"kind": "status", "status": 504, "executed": True}, ccxt.RequestTimeout),
        ({"kind": "status", "status": 503}, ccxt.ExchangeError),
        ({"kind": "status", "status": 500}, ccxt.OperationFailed),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": 3}}, ccxt.DDoSProtection),
    ]
    for rule, error in faults:
        served.order({"path": "/api/v3/order", "method": "POST", **rule})
        assert issubclass(refusal(lambda: buy("0.001")), error), rule
    assert client.last_response_headers["Retry-After"] == "3"
    assert len(trader.books()["trades"]) == 2

    stranger = client_of(served, Trader(exchange=served, key="a-key-of-nobody", secret="s"))
    forger = client_of(served, Trader(exchange=served, key=trader.key, secret="s"))
    late = client_of(served, trader)
    # Longer than the window of 10 s that the client asks for.
    late.options["timeDifference"] = 20_000
    for other, error in (
        (stranger, ccxt.AuthenticationError),
        (forger, ccxt.AuthenticationError),
        (late, ccxt.InvalidNonce),
    ):
        assert refusal(other.fetch_balance) is error
