"""Bybit's markets: spot, linear perpetuals and a linear future, and how each is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.stack.exchange.markets import Market

_2020 = 1_585_526_400_000  # 2020-03-30
_2021 = 1_634_256_000_000  # 2021-10-15


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One market: its *symbol* is its own within its *category* (``spot`` or ``linear``) only.

    *contract* and *delivery_ms* (0 for a perpetual) are for linear ones, which settle in their quote.
    """

    category: str
    symbol: str
    market: Market
    contract: str = ""
    delivery_ms: int = 0

    @property
    def key(self) -> str:
        return f"{self.category}:{self.symbol}"


_PERPETUAL = "LinearPerpetual"

_TABLE: tuple[tuple[str, str, str, str, int, int, float, float, float, float, int], ...] = (
    ("spot", "BTCUSDT", "BTC", "USDT", 2, 6, 62_000, 5e-4, 8, 0.003, _2021),
    ("spot", "ETHUSDT", "ETH", "USDT", 2, 5, 3_100, 6e-4, 100, 0.003, _2021),
    ("spot", "SOLUSDT", "SOL", "USDT", 2, 3, 145, 9e-4, 900, 0.004, _2021),
    ("spot", "BTCUSDC", "BTC", "USDC", 2, 6, 62_000, 5e-4, 0.6, 0.08, _2021),
    ("linear", "BTCUSDT", "BTC", "USDT", 1, 3, 62_000, 5e-4, 90, 0.001, _2020),
    ("linear", "ETHUSDT", "ETH", "USDT", 2, 2, 3_100, 6e-4, 900, 0.001, _2020),
    ("linear", "SOLUSDT", "SOL", "USDT", 3, 1, 145, 9e-4, 9_000, 0.002, _2021),
    ("linear", "BTCPERP", "BTC", "USDC", 1, 3, 62_000, 5e-4, 2, 0.03, _2021),
)

MARKETS: Mapping[str, Listed] = {
    listed.key: listed
    for listed in (
        *(
            Listed(
                category=category,
                symbol=symbol,
                contract=_PERPETUAL if category == "linear" else "",
                market=Market(
                    base=base,
                    quote=quote,
                    price_scale=price_scale,
                    lot_scale=lot_scale,
                    price=price,
                    volatility=volatility,
                    volume=volume,
                    quiet=quiet,
                    listed_ms=listed_ms,
                ),
            )
            for (
                category,
                symbol,
                base,
                quote,
                price_scale,
                lot_scale,
                price,
                volatility,
                volume,
                quiet,
                listed_ms,
            ) in _TABLE
        ),
        Listed(
            category="linear",
            symbol="BTCUSDT-25DEC99",
            contract="LinearFutures",
            delivery_ms=4_101_840_000_000,
            market=Market(
                base="BTC",
                quote="USDT",
                price_scale=1,
                lot_scale=3,
                price=62_000,
                volatility=5e-4,
                volume=1,
                quiet=0.2,
                listed_ms=_2021,
            ),
        ),
    )
}


def _step(scale: int) -> str:
    return f"{10**-scale:.{scale}f}"


def describe(listed: Listed) -> dict[str, Any]:
    """The market's entry in ``instruments-info``."""
    market = listed.market
    common = {
        "symbol": listed.symbol,
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "status": "Trading",
    }
    if listed.category == "spot":
        return {
            **common,
            "innovation": "0",
            "marginTrading": "utaOnly",
            "stTag": "0",
            "lotSizeFilter": {
                "basePrecision": _step(market.lot_scale),
                "quotePrecision": _step(market.lot_scale + market.price_scale),
                "minOrderQty": _step(market.lot_scale),
                "maxOrderQty": "83",
                "minOrderAmt": "5",
                "maxOrderAmt": "8000000",
            },
            "priceFilter": {"tickSize": _step(market.price_scale)},
        }
    return {
        **common,
        "contractType": listed.contract,
        "launchTime": str(market.listed_ms),
        "deliveryTime": str(listed.delivery_ms),
        "deliveryFeeRate": "",
        "priceScale": str(market.price_scale),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": _step(market.price_scale),
            "maxPrice": "1999999.80",
            "tickSize": _step(market.price_scale),
        },
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": _step(market.lot_scale),
            "qtyStep": _step(market.lot_scale),
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": market.quote,
        "isPreListing": False,
    }
