"""The addresses that signals are sent to: one for each format."""

from __future__ import annotations

from django.urls import path

from apps.webhooks.formats import FORMATS
from apps.webhooks.views import receive_signal

urlpatterns = [
    path(f"{name}/<str:token>", receive_signal, {"format": name}, name=f"webhook-{name}") for name in FORMATS
]
