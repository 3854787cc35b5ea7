"""The tables of durable tasks."""

from __future__ import annotations

from apps.tasks.models.batch import Batch
from apps.tasks.models.bulk import BulkOperation
from apps.tasks.models.dead_letter import DeadLetter
from apps.tasks.models.entry import Entry
from apps.tasks.models.periodic import PeriodicTask
from apps.tasks.models.process import Process, UsageCount
from apps.tasks.models.rate import RateHit
from apps.tasks.models.run import TaskRun
from apps.tasks.models.statistic import Resolution, Statistic
from apps.tasks.models.step import Step

__all__ = [
    "Batch",
    "BulkOperation",
    "DeadLetter",
    "Entry",
    "PeriodicTask",
    "Process",
    "RateHit",
    "Resolution",
    "Statistic",
    "Step",
    "TaskRun",
    "UsageCount",
]
