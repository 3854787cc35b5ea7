"""Every URL of the product."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.core.health import healthz, readyz
from apps.core.metrics import MetricsView
from apps.core.problempages import problem_detail, problem_list
from apps.core.signing_in import SignInView, SignOutView
from apps.core.views import ApiRoot

admin.autodiscover()

urlpatterns = [
    # Before the admin: one of its addresses is the dashboard's.
    path("", include("apps.operations.urls")),
    path("login", SignInView.as_view(), name="sign-in"),
    path("logout", SignOutView.as_view(), name="sign-out"),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("problems/", problem_list, name="problem-list"),
    path("problems/<str:name>", problem_detail, name="problem-detail"),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path(
        "api/docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="core/docs.html"),
        name="docs",
    ),
    path("api/v1/", ApiRoot.as_view(), name="root"),
    path("api/v1/", include("apps.identity.urls")),
    path("api/v1/", include("apps.audit.urls")),
    path("api/v1/", include("apps.tasks.urls")),
    path("api/v1/", include("apps.liveness.urls")),
    path("api/v1/", include("apps.notifications.urls")),
    path("api/v1/", include("apps.candles.urls")),
    path("api/v1/", include("apps.orders.api.urls")),
    path("api/v1/", include("apps.webhooks.urls")),
    path("api/v1/", include("apps.backtests.urls")),
    path("notifications/", include("apps.notifications.page_urls")),
    path("webhooks/", include("apps.webhooks.intake_urls")),
    path("udf/", include("apps.candles.udf.urls")),
    path("charts/", include("apps.candles.chart_urls")),
    path("backtests/", include("apps.backtests.report.urls")),
]

handler400 = "apps.core.problems.bad_request"
handler403 = "apps.core.problems.permission_denied"
handler404 = "apps.core.problems.not_found"
handler500 = "apps.core.problems.server_error"
