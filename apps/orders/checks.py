"""Settings with which orders would go wrong, found before a worker starts and by ``manage.py check``.

Found where they are used, it would be too late: a broker has the order, and its answer cannot be recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from apps.orders.brokers import conf as brokers

#: Setting -> the least that it may be, in seconds. Looks without a wait between them would have no end.
_SECONDS = {
    "ORDERS_MARKET_MAX_AGE": 0.0,
    "ORDERS_SUBMIT_LIMIT": 0.0,
    "ORDERS_VERIFY_FIRST": 0.1,
    "ORDERS_UNKNOWN_FIRST": 0.1,
    "ORDERS_VERIFY_LONGEST": 0.1,
    "ORDERS_REVERSAL_LIMIT": 0.0,
    "ORDERS_SETTLE_LIMIT": 0.0,
}
#: Thirty days, which none of them may be longer than.
_LONGEST = 2_592_000.0
_MOST = 2**31 - 1


def check_settings(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Times are times, looks are made, and plans say what they allow."""
    return [*_times(), *_brokers(), *_plans()]


def _times() -> Iterator[CheckMessage]:
    for name, least in _SECONDS.items():
        given = getattr(settings, name)
        if not least <= given <= _LONGEST:
            yield Error(
                f"{name} must be seconds from {least:g} to {_LONGEST:,.0f}, not {given!r}.", id="orders.E001"
            )
    if settings.ORDERS_VERIFY_LOOKS < 1:
        yield Error(
            f"ORDERS_VERIFY_LOOKS must be at least 1, not {settings.ORDERS_VERIFY_LOOKS!r}.", id="orders.E001"
        )


def _brokers() -> Iterator[CheckMessage]:
    for read in (
        brokers.timeout, brokers.settle, brokers.paper_wait, brokers.paper_slippage, brokers.paper_fee,
    ):  # fmt: skip
        try:
            read()
        except ImproperlyConfigured as exc:
            yield Error(f"{exc}.", id="orders.E002")


def _plans() -> Iterator[CheckMessage]:
    plans = settings.ORDERS_PLANS
    if not isinstance(plans, Mapping):
        yield Error(f"ORDERS_PLANS must be an object of plans by name, not {plans!r}.", id="orders.E003")
        return
    for name, plan in plans.items():
        given = plan if isinstance(plan, Mapping) else {}
        simulation_only, orders = given.get("simulation_only"), given.get("daily_orders")
        if not isinstance(simulation_only, bool) or type(orders) is not int or not 0 <= orders <= _MOST:
            yield Error(
                f"The plan {name!r} of ORDERS_PLANS needs `simulation_only` (true or false) and"
                f" `daily_orders` (a whole number from 0 to {_MOST:,}), and is {plan!r}.",
                id="orders.E003",
            )
