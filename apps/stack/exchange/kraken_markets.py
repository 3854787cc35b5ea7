"""The pairs and assets of Kraken, and how they are described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.stack.exchange.markets import Market

_2013 = 1_381_017_600_000  # 2013-10-06
_2020 = 1_577_836_800_000  # 2020-01-01

# Every amount has eight decimals, whatever the pair.
LOT_DECIMALS = 8

#: The assets' names in listings, beside their everyday ones.
_ASSETS: Mapping[str, str] = {
    "BTC": "XXBT",
    "ETH": "XETH",
    "DOGE": "XXDG",
    "USD": "ZUSD",
    "USDT": "USDT",
    "SOL": "SOL",
    "ADA": "ADA",
}
_ALTERNATIVE: Mapping[str, str] = {"BTC": "XBT", "DOGE": "XDG"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One pair: *id* in listings and answers, *altname* and *wsname* as other ways to ask for it."""

    id: str
    altname: str
    wsname: str
    market: Market


def _pair(
    id_: str,
    base: str,
    quote: str,
    price_scale: int,
    price: float,
    volatility: float,
    volume: float,
    quiet: float,
    listed_ms: int,
    *,
    bars_when_quiet: bool = True,
) -> Pair:
    base_name, quote_name = _ALTERNATIVE.get(base, base), _ALTERNATIVE.get(quote, quote)
    return Pair(
        id=id_,
        altname=f"{base_name}{quote_name}",
        wsname=f"{base_name}/{quote_name}",
        market=Market(
            base=base,
            quote=quote,
            price_scale=price_scale,
            lot_scale=LOT_DECIMALS,
            price=price,
            volatility=volatility,
            volume=volume,
            quiet=quiet,
            listed_ms=listed_ms,
            bars_when_quiet=bars_when_quiet,
        ),
    )


#: By id. The thin ones have no bar for a minute without a trade, the others one of volume 0.
PAIRS: Mapping[str, Pair] = {
    pair.id: pair
    for pair in (
        _pair("XXBTZUSD", "BTC", "USD", 1, 62_000, 5e-4, 2, 0.01, _2013),
        _pair("XBTUSDT", "BTC", "USDT", 1, 62_000, 5e-4, 0.4, 0.04, _2020),
        _pair("XETHZUSD", "ETH", "USD", 2, 3_100, 6e-4, 20, 0.02, _2013),
        _pair("SOLUSD", "SOL", "USD", 2, 145, 9e-4, 90, 0.03, _2020),
        _pair("XDGUSD", "DOGE", "USD", 5, 0.14, 9e-4, 9_000, 0.05, _2020),
        _pair("XETHXXBT", "ETH", "BTC", 5, 0.05, 4e-4, 1.2, 0.3, _2013, bars_when_quiet=False),
        _pair("ADAETH", "ADA", "ETH", 7, 0.0002, 8e-4, 300, 0.6, _2020, bars_when_quiet=False),
    )
}

#: By all names that requests may use.
BY_NAME: Mapping[str, Pair] = {
    name: pair for pair in PAIRS.values() for name in (pair.id, pair.altname, pair.wsname)
}


def describe_pair(pair: Pair) -> dict[str, Any]:
    """The pair's entry in ``AssetPairs``."""
    market = pair.market
    return {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": _ASSETS[market.base],
        "aclass_quote": "currency",
        "quote": _ASSETS[market.quote],
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": market.price_scale,
        "lot_decimals": LOT_DECIMALS,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": [[0, 0.4], [10000, 0.35], [50000, 0.24]],
        "fees_maker": [[0, 0.25], [10000, 0.2], [50000, 0.14]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": f"{10**-market.price_scale:.{market.price_scale}f}",
        "status": "online",
    }


def describe_assets() -> dict[str, Any]:
    """The answer of ``Assets``."""
    return {
        listed: {
            "aclass": "currency",
            "altname": _ALTERNATIVE.get(name, name),
            "decimals": 4 if name == "USD" else 10,
            "display_decimals": 2 if name == "USD" else 5,
            "status": "enabled",
        }
        for name, listed in _ASSETS.items()
    }
