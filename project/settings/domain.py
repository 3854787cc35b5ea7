"""Candles, orders and their brokers, webhooks."""

from __future__ import annotations

from project.settings.environment import env

# Candles: who keeps the roll-ups where the server has TimescaleDB, and for how many days minutes are kept.
CANDLES_ROLLUPS = env.str("CANDLES_ROLLUPS", default="continuous_aggregates")
CANDLES_RETENTION_DAYS = env.int("CANDLES_RETENTION_DAYS", default=0) or None
CANDLES_COMPRESS_AFTER_DAYS = env.int("CANDLES_COMPRESS_AFTER_DAYS", default=7)
CANDLES_CHUNK_INTERVAL_DAYS = env.int("CANDLES_CHUNK_INTERVAL_DAYS", default=0) or None
CANDLES_REFRESH_WINDOW_DAYS = env.int("CANDLES_REFRESH_WINDOW_DAYS", default=30)
CANDLES_REFRESH_AFTER = env.int("CANDLES_REFRESH_AFTER", default=900)
# Tasks at a time and requests a minute, by exchange: {"binance": {"concurrency": 8, "rate": 2400}}.
CANDLES_EXCHANGE_LIMITS = env.json("CANDLES_EXCHANGE_LIMITS", default={})
# Where workers keep copies of the months that they read, and how much of them.
CANDLES_CACHE_DIR = env.str("CANDLES_CACHE_DIR", default="")
CANDLES_CACHE_MB = env.int("CANDLES_CACHE_MB", default=2048)
# The API: bars, instruments and rows of one request; seconds that a bar waits for its last minute, and after
# which a price is stale.
CANDLES_MAX_BARS = env.int("CANDLES_MAX_BARS", default=10_000)
CANDLES_MAX_FILE_BARS = env.int("CANDLES_MAX_FILE_BARS", default=600_000)
CANDLES_MAX_SERIES = env.int("CANDLES_MAX_SERIES", default=50)
CANDLES_SETTLE_SECONDS = env.int("CANDLES_SETTLE_SECONDS", default=120)
CANDLES_STALE_SECONDS = env.int("CANDLES_STALE_SECONDS", default=300)
CANDLES_MAX_UPLOAD_MB = env.int("CANDLES_MAX_UPLOAD_MB", default=32)
CANDLES_MAX_UPLOAD_ROWS = env.int("CANDLES_MAX_UPLOAD_ROWS", default=200_000)

# Orders: plans; seconds after which an order is not sent any more; seconds to the first look at an order, to
# that at one without an answer, and between looks at the most; looks in vain; seconds that a reversal waits
# for its close leg, and signals for market orders; by how much limits are longer on paper.
ORDERS_PLANS = env.json(
    "ORDERS_PLANS",
    default={
        "basic": {"simulation_only": True, "daily_orders": 50},
        "pro": {"simulation_only": False, "daily_orders": 1000},
    },
)
ORDERS_MARKET_MAX_AGE = env.float("ORDERS_MARKET_MAX_AGE", default=300.0)
ORDERS_SUBMIT_LIMIT = env.float("ORDERS_SUBMIT_LIMIT", default=900.0)
ORDERS_VERIFY_FIRST = env.float("ORDERS_VERIFY_FIRST", default=30.0)
ORDERS_UNKNOWN_FIRST = env.float("ORDERS_UNKNOWN_FIRST", default=5.0)
ORDERS_VERIFY_LONGEST = env.float("ORDERS_VERIFY_LONGEST", default=900.0)
ORDERS_VERIFY_LOOKS = env.int("ORDERS_VERIFY_LOOKS", default=10)
ORDERS_REVERSAL_LIMIT = env.float("ORDERS_REVERSAL_LIMIT", default=30.0)
ORDERS_SETTLE_LIMIT = env.float("ORDERS_SETTLE_LIMIT", default=60.0)
ORDERS_PAPER_WAIT = env.float("ORDERS_PAPER_WAIT", default=600.0)

# Brokers: seconds without an answer after which a request failed, and for which an accepted order may be
# invisible; slippage (basis points) of market orders on paper, and the fee there as a part of the value.
ORDERS_BROKER_TIMEOUT = env.float("ORDERS_BROKER_TIMEOUT", default=10.0)
ORDERS_BROKER_SETTLE = env.float("ORDERS_BROKER_SETTLE", default=25.0)
ORDERS_PAPER_SLIPPAGE_BPS = env.str("ORDERS_PAPER_SLIPPAGE_BPS", default="0")
ORDERS_PAPER_FEE = env.str("ORDERS_PAPER_FEE", default="0.001")

# Webhooks: bytes of the largest body, and days for which receipts and the log are kept (0: the log for ever).
WEBHOOKS_MAX_BODY = env.int("WEBHOOKS_MAX_BODY", default=16_384)
WEBHOOKS_RECEIPTS_DAYS = env.float("WEBHOOKS_RECEIPTS_DAYS", default=7.0)
WEBHOOKS_LOG_DAYS = env.float("WEBHOOKS_LOG_DAYS", default=90.0)
