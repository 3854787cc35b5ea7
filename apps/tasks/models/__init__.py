"""The tables of durable tasks."""

from __future__ import annotations

from apps.tasks.models.dead_letter import DeadLetter
from apps.tasks.models.periodic import PeriodicTask
from apps.tasks.models.process import Process, UsageCount
from apps.tasks.models.rate import RateHit
from apps.tasks.models.run import TaskRun

__all__ = ["DeadLetter", "PeriodicTask", "Process", "RateHit", "TaskRun", "UsageCount"]
