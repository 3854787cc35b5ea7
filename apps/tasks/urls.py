from __future__ import annotations

from django.urls import path

from apps.tasks.periodic.views import PeriodicTaskList
from apps.tasks.views import BatchCancel, BatchDetail, TaskRunDetail, TaskRunList

urlpatterns = [
    path("tasks", TaskRunList.as_view(), name="task-list"),
    path("tasks/<uuid:run_id>", TaskRunDetail.as_view(), name="task-detail"),
    path("periodic", PeriodicTaskList.as_view(), name="periodic-list"),
    path("batches/<uuid:batch_id>", BatchDetail.as_view(), name="batch-detail"),
    path("batches/<uuid:batch_id>/cancel", BatchCancel.as_view(), name="batch-cancel"),
]
