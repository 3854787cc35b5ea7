from __future__ import annotations

from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "apps.tasks"
    label = "tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from apps.events import projections
        from apps.tasks.batchprojection import Batches
        from apps.tasks.projection import TaskRuns

        projections.register(TaskRuns())
        projections.register(Batches())
