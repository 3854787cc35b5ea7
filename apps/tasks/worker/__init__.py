"""What a Celery application needs to run durable tasks."""

from __future__ import annotations

from apps.tasks.worker.identity import identity
from apps.tasks.worker.steps import install

__all__ = ["identity", "install"]
