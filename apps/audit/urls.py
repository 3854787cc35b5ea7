from __future__ import annotations

from django.urls import path

from apps.audit import views

urlpatterns = [
    path("audit", views.AuditList.as_view(), name="audit-list"),
    path("audit/mine", views.AuditMine.as_view(), name="audit-mine"),
    path("audit/<uuid:entry_id>", views.AuditDetail.as_view(), name="audit-detail"),
]
