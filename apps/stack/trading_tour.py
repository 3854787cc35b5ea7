"""The part of the demo's tour that trades: an alert comes in, and a verified fill comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from apps.stack.client import Client
from apps.stack.simulated import Account
from apps.stack.toursettings import TourFailed

_NAME, _SYMBOL, _QUANTITY = "demo", "BTCUSDT", "0.01"
_ENDED_BADLY = frozenset({"rejected", "cancelled", "expired", "needs_review"})

#: Asks until there is something: what to ask, and what is waited for.
Wait = Callable[..., Any]


def trade(client: Client, exchange_account: Account, *, say: Callable[[str], None], wait: Wait) -> None:
    """Send a signal as TradingView does, and show what became of it. Raises `TourFailed`, `RequestFailed`."""
    account = _account(client, exchange_account)
    issued = client.post("/api/v1/webhooks", {"account": account["id"], "name": f"{_NAME} {time.time_ns()}"})
    alert = {
        "signal": "buy",
        "symbol": f"BINANCE:{_SYMBOL}",
        "quantity": _QUANTITY,
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "secret": issued["secret"],
    }
    # Whoever sends alerts has no login: the address and the secret are all that counts.
    answer = Client(client.base_url).post(f"/webhooks/tradingview/{issued['token']}?simulation=false", alert)
    say(f"signal sent: buy {_QUANTITY} {_SYMBOL}: {answer['status']}, order {answer['order']}")
    where = f"/api/v1/orders/{answer['order']}"

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] | None = client.find(where)
        if found is not None and found["state"] in _ENDED_BADLY:
            raise TourFailed(f"the order is {found['state']}: {found['reason']}")
        return found if found is not None and found["verified_at"] else None

    order = wait(look, what="the order")
    before = None
    for event in client.get(order["timeline_url"]):
        at = datetime.fromisoformat(event["recorded_at"])
        since = "" if before is None else f"+{(at - before).total_seconds() * 1000:.0f} ms"
        say(f"  {event['version']}  {event['type']:<24} {since:>10}")
        before = at
    say(f"filled {order['filled']} at {order['average_price']}, and verified by the exchange's own trades")
    for position in client.get("/api/v1/positions", account=account["id"]):
        say(f"position: {position['quantity']} {position['instrument']} at {position['average_price']}")
    client.delete(f"/api/v1/webhooks/{issued['endpoint']['id']}")


def _account(client: Client, exchange_account: Account) -> dict[str, Any]:
    """The demo's account, which may trade for real at the simulated exchange."""
    known = [one for one in client.get("/api/v1/accounts", limit="200") if one["name"] == _NAME]
    account = known[0] if known else client.post("/api/v1/accounts", {"name": _NAME, "exchange": "binance"})
    where = f"/api/v1/accounts/{account['id']}"
    client.put(f"{where}/keys", {"api_key": exchange_account.key, "api_secret": exchange_account.secret})
    changed: dict[str, Any] = client.patch(where, {"plan": "pro", "simulation": False})
    return changed
