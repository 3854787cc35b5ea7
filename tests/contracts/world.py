"""One installation with something of everything, for requests to every operation."""

from __future__ import annotations

from typing import Any

from django.test import Client

from apps.candles.selectors import instrument_get
from apps.candles.storage.writer import write_candles
from apps.tasks.testing import run_pending
from apps.webhooks import symbols
from tests.backtests.helpers import DAYS, END, MS, START, body
from tests.candles.helpers import walk
from tests.identity.owned import everything_of


def world_of(user: Any) -> dict[str, str]:
    """What addresses call what *user* has, by the names of their parameters.

    There are candles, and a backtest and a sweep that have run.
    """
    # Of another test's market.
    symbols._known.clear()
    known = everything_of(user)
    market = str(known["instrument"])
    write_candles(instrument=instrument_get(market), minutes=walk(DAYS * 1440, start=MS, seed=7))
    web = Client()
    web.force_login(user)

    def post(address: str, content: Any = None) -> dict[str, Any]:
        answer = web.post(f"/api/v1/{address}", content or {}, content_type="application/json")
        assert answer.status_code < 300, answer.content
        made: dict[str, Any] = answer.json()
        return made

    known["backtest_id"] = post("backtests", body(market))["id"]
    known["sweep_id"] = post(
        "sweeps",
        {
            "instrument": market,
            "timeframe": "15m",
            "start": START.isoformat(),
            "end": END.isoformat(),
            "strategy": "sma_cross",
            "space": {"fast": [5, 8], "slow": [20, 30]},
        },
    )["id"]
    run_pending()
    known["token"] = post(f"backtests/{known['backtest_id']}/share")["token"]
    return {name: str(value) for name, value in known.items()}
