"""What operators see in Django's admin of webhooks."""

from __future__ import annotations

from apps.webhooks.admin import deliveries, endpoints

__all__ = ["deliveries", "endpoints"]
