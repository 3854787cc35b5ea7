from __future__ import annotations

from django.urls import path

from apps.notifications.api import views

urlpatterns = [
    path("notifications/emails", views.EmailList.as_view(), name="notification-email-list"),
    path("notifications/preferences", views.PreferenceList.as_view(), name="notification-preference-list"),
    path("notifications/bounces", views.BounceList.as_view(), name="notification-bounce-list"),
    path("notifications/suppressions", views.SuppressionList.as_view(), name="notification-suppression-list"),
    path(
        "notifications/suppressions/<uuid:suppression_id>",
        views.SuppressionDetail.as_view(),
        name="notification-suppression-detail",
    ),
]
