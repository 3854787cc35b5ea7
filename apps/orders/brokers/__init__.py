"""Brokers, one file each: `broker_for` gives an account's.

    broker = broker_for(account, simulation=order.simulation)
    report = broker.submit(BrokerOrder(...))

What a broker promises is in `base`; which error means what for an order, too.
"""

from __future__ import annotations

from apps.orders.brokers.base import (
    Broker,
    BrokerError,
    BrokerFill,
    BrokerOrder,
    NotTaken,
    Refused,
    Report,
    Unanswered,
    Unavailable,
    Unreadable,
)
from apps.orders.brokers.registry import broker_for

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerFill",
    "BrokerOrder",
    "NotTaken",
    "Refused",
    "Report",
    "Unanswered",
    "Unavailable",
    "Unreadable",
    "broker_for",
]
