"""How often whom is served."""

from __future__ import annotations

from project.settings.environment import env
from project.settings.web import STATIC_URL

# Where TradingView's alerts come from, as its help page lists them (all of them IPv4).
TRADINGVIEW_ADDRESSES = env.list(
    "TRADINGVIEW_ADDRESSES",
    default=["52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7"],
)

# Rate limits: whether requests are counted; seconds without an answer after which Redis is away; how many
# processes share a limit then; seconds for which a credential that was verified counts as its user's; by how
# many bits IPv6 addresses are counted; networks that nothing is counted of, and those that nothing is served
# to; and the function that tells a user's plan.
RATELIMITS_ENABLED = env.bool("RATELIMITS_ENABLED", default=True)
RATELIMITS_TIMEOUT = env.float("RATELIMITS_TIMEOUT", default=0.05)
RATELIMITS_PROCESSES = env.int("RATELIMITS_PROCESSES", default=1)
RATELIMITS_TRUST_FOR = env.float("RATELIMITS_TRUST_FOR", default=60.0)
RATELIMITS_IPV6_PREFIX = env.int("RATELIMITS_IPV6_PREFIX", default=64)
RATELIMITS_ALLOW = env.list("RATELIMITS_ALLOW", default=[])
RATELIMITS_DENY = env.list("RATELIMITS_DENY", default=[])
RATELIMITS_PLAN_OF = env.str("RATELIMITS_PLAN_OF", default="apps.orders.selectors.plan_of_user")
# Groups of endpoints in the order in which they are tried, each with its rules. Those without routes and
# prefixes are asked by code.
RATELIMITS_GROUPS = env.json(
    "RATELIMITS_GROUPS",
    default=[
        {"name": "exempt", "routes": ["healthz", "readyz"], "prefixes": [f"/{STATIC_URL}"], "exempt": True},
        {
            "name": "login",
            "routes": ["login", "admin:login", "sign-in"],
            "methods": ["POST"],
            "outage": "local",
            "rules": {"address": {"by": "address", "rate": "20/5m"}},
        },
        {
            "name": "login-failures",
            "outage": "local",
            "rules": {"address": {"by": "subject", "rate": "10/15m"}},
        },
        {
            "name": "login-failures-account",
            "outage": "local",
            "rules": {"account": {"by": "subject", "rate": "100/h"}},
        },
        {
            "name": "webhooks",
            "prefixes": ["/webhooks/"],
            # All users' alerts come from the same few addresses.
            "exempt_addresses": TRADINGVIEW_ADDRESSES,
            "rules": {"address": {"by": "address", "rate": "1200/m"}},
        },
        {"name": "webhook-signals", "rules": {"endpoint": {"by": "subject", "rate": "60/m"}}},
        {
            "name": "candles",
            "routes": ["candle-list", "candle-latest"],
            "cost": "apps.candles.api.cost.units",
            "rules": {
                # A unit is a thousand bars. Who reads is not looked at.
                "address": {"by": "address", "rate": "3000/m"},
            },
        },
        {
            "name": "backtests",
            "routes": ["backtest-list", "sweep-list"],
            "methods": ["POST"],
            "rules": {
                "address": {"by": "address", "rate": "300/m"},
                "failures": {"by": "address", "rate": "30/5m", "failures": True},
                "user": {"by": "user", "rate": "30/h", "plans": {"pro": "300/h"}},
            },
        },
        {
            "name": "orders",
            "routes": ["order-list"],
            "methods": ["POST"],
            "rules": {
                "address": {"by": "address", "rate": "600/m"},
                "failures": {"by": "address", "rate": "30/5m", "failures": True},
                "user": {"by": "user", "rate": "30/m", "plans": {"pro": "120/m"}},
            },
        },
        {
            "name": "default",
            "rules": {
                "address": {"by": "address", "rate": "1200/m"},
                "anonymous": {"by": "address", "rate": "120/m", "anonymous": True},
                "failures": {"by": "address", "rate": "30/5m", "failures": True},
                "user": {"by": "user", "rate": "600/m", "plans": {"pro": "1200/m"}},
                "key": {"by": "key", "rate": "600/m", "plans": {"pro": "1200/m"}},
            },
        },
    ],
)
