from __future__ import annotations

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "apps.orders"
    label = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from django.core import checks

        from apps.core import crypto
        from apps.core.collectors import database
        from apps.events import projections
        from apps.orders import audit_actions, events  # noqa: F401
        from apps.orders.accounts import SEALED_COLUMNS
        from apps.orders.checks import check_settings
        from apps.orders.metrics import OrderCollector
        from apps.orders.projection import OrderProjection, PositionProjection

        checks.register(check_settings)
        projections.register(OrderProjection())
        projections.register(PositionProjection())
        database.register("orders", OrderCollector())
        for column in SEALED_COLUMNS:
            crypto.register(column)
