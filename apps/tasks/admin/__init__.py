"""What operators see of durable tasks in Django's admin."""

from __future__ import annotations

from apps.tasks.admin import batches, bulk, dead_letters, periodic, processes, runs

__all__ = ["batches", "bulk", "dead_letters", "periodic", "processes", "runs"]
