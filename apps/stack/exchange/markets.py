"""Markets, and those of Binance: their filters and how each is described by ``exchangeInfo``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MAX_DECIMALS = 8

# Longest first: FDUSD ends with USD.
_QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "GBP", "TRY", "BRL", "USD")
_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET"]

#: The bounds that the filters of every market name, in whole units.
MOST_QUANTITY = 9_000_000
HIGHEST_PRICE = 1_000_000
MOST_NOTIONAL = 9_000_000
MOST_ORDERS = 200
#: Minutes over which the price of a market order is averaged for its notional value.
AVERAGED_MINUTES = 5
#: What the trading of one account with itself comes to.
SELF_TRADE_PREVENTION = "EXPIRE_MAKER"


@dataclass(frozen=True, kw_only=True)
class Market:
    """One market. Its smallest price step is ``10**-price_scale``, of quantity ``10**-lot_scale``.

    ``price`` (quote units), ``volatility`` (standard deviation of one minute's relative change, about),
    ``volume`` (base units in an ordinary minute) and ``quiet`` (share of minutes without a trade) shape
    its synthetic prices. A quiet minute has a bar of volume 0, or with ``bars_when_quiet`` off none.
    """

    base: str
    quote: str
    price_scale: int
    lot_scale: int
    price: float
    volatility: float
    volume: float
    quiet: float
    listed_ms: int
    bars_when_quiet: bool = True

    @property
    def symbol(self) -> str:
        return self.base + self.quote

    @property
    def least_notional(self) -> str:
        """The smallest value of an order, in the quote asset."""
        return "5.00000000" if self.quote != "BTC" else "0.00010000"


_2017 = 1_502_942_400_000  # 2017-08-17T04:00Z, the first hour of Binance's BTCUSDT
_2018 = 1_525_392_000_000  # 2018-05-04
_2020 = 1_597_104_000_000  # 2020-08-11

# Price and lot decimals add up to eight at most, so quote volumes are printed without a rest.
_TABLE: tuple[tuple[str, str, int, int, float, float, float, float, int], ...] = (
    ("BTC", "USDT", 2, 5, 62_000, 5e-4, 18, 0.001, _2017),
    ("ETH", "USDT", 2, 4, 3_100, 6e-4, 210, 0.002, _2017),
    ("BNB", "USDT", 2, 3, 580, 6e-4, 160, 0.004, _2018),
    ("SOL", "USDT", 2, 3, 145, 9e-4, 2_400, 0.002, _2020),
    ("XRP", "USDT", 4, 1, 0.62, 7e-4, 160_000, 0.002, _2018),
    ("DOGE", "USDT", 5, 0, 0.14, 9e-4, 600_000, 0.003, _2020),
    ("ETH", "BTC", 5, 3, 0.05, 4e-4, 14, 0.03, _2017),
)

MARKETS: Mapping[str, Market] = {
    base + quote: Market(
        base=base,
        quote=quote,
        price_scale=price_scale,
        lot_scale=lot_scale,
        price=price,
        volatility=volatility,
        volume=volume,
        quiet=quiet,
        listed_ms=listed_ms,
    )
    for base, quote, price_scale, lot_scale, price, volatility, volume, quiet, listed_ms in _TABLE
}


def decimals(text: str) -> int:
    """How many decimals a plain number needs; trailing zeros do not count."""
    _, _, fraction = text.partition(".")
    return len(fraction.rstrip("0"))


def step(scale: int) -> str:
    """The smallest step of *scale* decimals, in the exchange's eight: 2 gives ``0.01000000``."""
    return plain(1, scale)


def plain(value: int, scale: int) -> str:
    """*value* in units of ``10**-scale`` as the exchange prints it: at least eight decimals."""
    whole, fraction = divmod(value, 10**scale)
    return f"{whole}.{str(fraction).zfill(scale) if scale else ''}".ljust(len(str(whole)) + 9, "0")


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """``("BTC", "USDT")`` for ``"BTCUSDT"``, or None when no known quote asset ends it."""
    if re.fullmatch(r"[A-Z0-9]{2,20}", symbol):
        for quote in _QUOTES:
            if symbol.endswith(quote) and len(symbol) > len(quote):
                return symbol.removesuffix(quote), quote
    return None


def replayed(symbol: str, *, price_scale: int, lot_scale: int, listed_ms: int) -> Market | None:
    """The market of a replayed file: as listed, with steps fine enough for the file's values.

    None when the symbol cannot be split into base and quote.
    """
    known = MARKETS.get(symbol)
    if known is not None:
        return replace(
            known,
            price_scale=max(known.price_scale, price_scale),
            lot_scale=max(known.lot_scale, lot_scale),
            listed_ms=listed_ms,
        )
    assets = split_symbol(symbol)
    if assets is None:
        return None
    return Market(
        base=assets[0],
        quote=assets[1],
        price_scale=price_scale,
        lot_scale=lot_scale,
        price=1.0,
        volatility=0.0,
        volume=0.0,
        quiet=0.0,
        listed_ms=listed_ms,
    )


def describe(market: Market) -> dict[str, Any]:
    """The market's entry in ``exchangeInfo``."""
    quantity = {
        "minQty": step(market.lot_scale),
        "maxQty": plain(MOST_QUANTITY, 0),
    }
    return {
        "symbol": market.symbol,
        "status": "TRADING",
        "baseAsset": market.base,
        "baseAssetPrecision": MAX_DECIMALS,
        "quoteAsset": market.quote,
        "quotePrecision": MAX_DECIMALS,
        "quoteAssetPrecision": MAX_DECIMALS,
        "baseCommissionPrecision": MAX_DECIMALS,
        "quoteCommissionPrecision": MAX_DECIMALS,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": step(market.price_scale),
                "maxPrice": plain(HIGHEST_PRICE, 0),
                "tickSize": step(market.price_scale),
            },
            {"filterType": "LOT_SIZE", **quantity, "stepSize": step(market.lot_scale)},
            {"filterType": "MARKET_LOT_SIZE", **quantity, "stepSize": "0.00000000"},
            {
                "filterType": "NOTIONAL",
                "minNotional": market.least_notional,
                "applyMinToMarket": True,
                "maxNotional": plain(MOST_NOTIONAL, 0),
                "applyMaxToMarket": False,
                "avgPriceMins": AVERAGED_MINUTES,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MOST_ORDERS},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": SELF_TRADE_PREVENTION,
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }
