from __future__ import annotations

from django.urls import path

from apps.notifications.pages import unsubscribe

urlpatterns = [path("unsubscribe/<str:token>", unsubscribe, name="notifications-unsubscribe")]
