"""What senders are set up with: addresses, and a message for TradingView that is ready to paste."""

from __future__ import annotations

import json

from django.urls import reverse

from apps.core import conf
from apps.webhooks.formats import FORMATS

#: What stands in the place of a token that is not known any more.
UNKNOWN_TOKEN = "<token>"  # noqa: S105


def address(format_name: str, token: str) -> str:
    """Where signals of a format are sent."""
    path = reverse(f"webhook-{format_name}", args=["-"]).removesuffix("-")
    return f"{conf.public_url()}{path}{token}"


def addresses(token: str) -> dict[str, str]:
    """The address for each format."""
    return {name: address(name, token) for name in FORMATS}


def tradingview_message(secret: str = "", *, hint: str = "") -> str:
    """An alert's message, with TradingView's placeholders; without the secret it says where that belongs."""
    return json.dumps(
        {
            "signal": "{{strategy.order.action}}",
            "symbol": "{{exchange}}:{{ticker}}",
            "quantity": "{{strategy.order.contracts}}",
            "timestamp": "{{timenow}}",
            "secret": secret or f"<the secret that ends with {hint}>",
        },
        indent=2,
    )
