from __future__ import annotations

from django.contrib import admin
from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from apps.operations.dashboard import live
from apps.operations.landing import landing, robots, status_json

urlpatterns = [
    path("", landing, name="landing"),
    path("status.json", status_json, name="status"),
    path("robots.txt", robots, name="robots"),
    path("favicon.ico", RedirectView.as_view(url=static("core/favicon.svg")), name="favicon"),
    path("admin/live", admin.site.admin_view(live, cacheable=True), name="operations-live"),
]
