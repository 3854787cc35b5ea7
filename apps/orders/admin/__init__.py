"""Accounts, orders, fills and positions in the admin."""

from __future__ import annotations

from apps.orders.admin import accounts, fills, orders, positions

__all__ = ["accounts", "fills", "orders", "positions"]
