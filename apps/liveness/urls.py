from __future__ import annotations

from django.urls import path

from apps.liveness import views

urlpatterns = [
    path("workers", views.WorkerList.as_view(), name="worker-list"),
    path("workers/heartbeat", views.Heartbeat.as_view(), name="worker-heartbeat"),
    path("workers/stop", views.WorkerStop.as_view(), name="worker-stop"),
    path("workers/<uuid:session_id>", views.WorkerDetail.as_view(), name="worker-detail"),
    path(
        "workers/<uuid:session_id>/declare-dead",
        views.WorkerDeclareDead.as_view(),
        name="worker-declare-dead",
    ),
]
