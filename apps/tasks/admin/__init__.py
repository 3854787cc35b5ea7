"""What operators see of durable tasks in Django's admin."""

from __future__ import annotations

from apps.tasks.admin import dead_letters, periodic, processes, runs

__all__ = ["dead_letters", "periodic", "processes", "runs"]
