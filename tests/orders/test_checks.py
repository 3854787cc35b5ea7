"""Settings with which orders would go wrong are found before anything starts."""

from __future__ import annotations

from apps.orders.checks import check_settings


def test_settings_that_cannot_be_are_named(settings):
    assert check_settings(app_configs=None) == []
    plans = settings.ORDERS_PLANS
    for name, wrong, id_ in (
        ("ORDERS_VERIFY_FIRST", 0.0, "orders.E001"),
        ("ORDERS_UNKNOWN_FIRST", -5.0, "orders.E001"),
        ("ORDERS_VERIFY_LONGEST", float("inf"), "orders.E001"),
        ("ORDERS_MARKET_MAX_AGE", float("nan"), "orders.E001"),
        ("ORDERS_SUBMIT_LIMIT", 1e9, "orders.E001"),
        ("ORDERS_REVERSAL_LIMIT", -0.1, "orders.E001"),
        ("ORDERS_SETTLE_LIMIT", -0.1, "orders.E001"),
        ("ORDERS_VERIFY_LOOKS", 0, "orders.E001"),
        ("ORDERS_BROKER_TIMEOUT", 0.0, "orders.E002"),
        ("ORDERS_BROKER_SETTLE", -1.0, "orders.E002"),
        ("ORDERS_PAPER_WAIT", float("nan"), "orders.E002"),
        ("ORDERS_PAPER_SLIPPAGE_BPS", "x", "orders.E002"),
        ("ORDERS_PAPER_FEE", "-1", "orders.E002"),
        ("ORDERS_PLANS", ["basic"], "orders.E003"),
        ("ORDERS_PLANS", {**plans, "x": None}, "orders.E003"),
        ("ORDERS_PLANS", {**plans, "x": {"daily_orders": 5}}, "orders.E003"),
        ("ORDERS_PLANS", {**plans, "x": {"simulation_only": None, "daily_orders": 5}}, "orders.E003"),
        ("ORDERS_PLANS", {**plans, "x": {"simulation_only": True, "daily_orders": -1}}, "orders.E003"),
        ("ORDERS_PLANS", {**plans, "x": {"simulation_only": True, "daily_orders": True}}, "orders.E003"),
    ):
        right = getattr(settings, name)
        setattr(settings, name, wrong)
        [found] = check_settings(app_configs=None)
        assert (found.id, name in found.msg) == (id_, True), wrong
        setattr(settings, name, right)
