"""What operators see of durable tasks in Django's admin."""

from __future__ import annotations

from apps.tasks.admin import batches, bulk, periodic, runs

__all__ = ["batches", "bulk", "periodic", "runs"]
