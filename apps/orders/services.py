"""Changes to accounts and orders: the public face for writing."""

from __future__ import annotations

from apps.orders.accounts import (
    InvalidAccount,
    NotAllowed,
    account_clear_keys,
    account_create,
    account_disable,
    account_set_keys,
    account_update,
)
from apps.orders.cancelling import WrongState, order_cancel
from apps.orders.limits import DailyLimitReached, Taken, daily_refused, daily_take
from apps.orders.placing import InvalidOrder, OrderExists, order_place, order_request
from apps.orders.resolving import order_look_again, order_resolve

__all__ = [
    "DailyLimitReached",
    "InvalidAccount",
    "InvalidOrder",
    "NotAllowed",
    "OrderExists",
    "Taken",
    "WrongState",
    "account_clear_keys",
    "account_create",
    "account_disable",
    "account_set_keys",
    "account_update",
    "daily_refused",
    "daily_take",
    "order_cancel",
    "order_look_again",
    "order_place",
    "order_request",
    "order_resolve",
]
