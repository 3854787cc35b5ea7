from __future__ import annotations

from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "apps.tasks"
    label = "tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from apps.core.collectors import database, registry
        from apps.core.readiness import Probe, readiness
        from apps.events import projections
        from apps.liveness import populations
        from apps.tasks import queues
        from apps.tasks.batchprojection import Batches
        from apps.tasks.metrics import QueueCollector, TaskCollector
        from apps.tasks.populations import Processes, Runs, runs_of_users
        from apps.tasks.projection import TaskRuns

        projections.register(TaskRuns())
        projections.register(Batches())
        database.register("tasks", TaskCollector())
        registry.register(QueueCollector())
        populations.register(Processes())
        populations.register(Runs())
        populations.register_work_of_users(runs_of_users)
        # What is requested waits in the database until SQS is back. Asking costs money.
        readiness.register(Probe(name="sqs", ask=queues.ping, essential=False, holds=10.0))
