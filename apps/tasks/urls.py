from __future__ import annotations

from django.urls import path

from apps.tasks import views
from apps.tasks.periodic.views import PeriodicTaskList

urlpatterns = [
    path("tasks", views.TaskRunList.as_view(), name="task-list"),
    path("tasks/stats", views.TaskStats.as_view(), name="task-stats"),
    path("tasks/bulk", views.BulkOperationList.as_view(), name="task-bulk"),
    path("tasks/bulk/<uuid:bulk_id>", views.BulkOperationDetail.as_view(), name="task-bulk-detail"),
    path("tasks/<uuid:run_id>", views.TaskRunDetail.as_view(), name="task-detail"),
    path("tasks/<uuid:run_id>/redrive", views.TaskRunRedrive.as_view(), name="task-redrive"),
    path("tasks/<uuid:run_id>/retry", views.TaskRunRetry.as_view(), name="task-retry"),
    path("tasks/<uuid:run_id>/cancel", views.TaskRunCancel.as_view(), name="task-cancel"),
    path("tasks/<uuid:run_id>/reschedule", views.TaskRunReschedule.as_view(), name="task-reschedule"),
    path("periodic", PeriodicTaskList.as_view(), name="periodic-list"),
    path("batches/<uuid:batch_id>", views.BatchDetail.as_view(), name="batch-detail"),
    path("batches/<uuid:batch_id>/cancel", views.BatchCancel.as_view(), name="batch-cancel"),
]
